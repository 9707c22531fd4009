import { readFileSync } from 'node:fs';
import type { Config } from '../core/config/settings.ts';
import { messageOf } from '../core/errors.ts';
import { settingsFault } from './errors.ts';

/** Configuration by filter id, as the filter engine takes it. */
export type FilterSettings = Readonly<Record<string, unknown>>;

/** Scope of the services that change or show the server itself, by glob on the service name. */
const requiredScopes = {
  'showrunner.filters.*': 'filters.admin',
  'showrunner.telemetry.*': 'telemetry.read',
} as const;

const openPaths = ['/grpc.health.v1.Health/*', '/grpc.reflection.*/*'];

/**
 * What the shipped filters get: the settings of the environment, under those of the SHOWRUNNER_FILTERS_CONFIG file
 * (its entries replace whole keys of a filter). `localKey` is the administrator's key of the state folder.
 * Throws CONFIG_INVALID before it is asked for that.
 */
export function readFilterSettings(config: Config): (localKey: string) => FilterSettings {
  const keys = readKeys(config.API_KEYS);
  const given = config.FILTERS_CONFIG === undefined ? {} : readFile(config.FILTERS_CONFIG);
  return (localKey) => {
    const local = { id: 'local-admin', secret: localKey, scopes: Object.values(requiredScopes) };
    const merged: Record<string, Record<string, unknown>> = shippedSettings(config, [local, ...keys]);
    for (const [id, entry] of Object.entries(given)) merged[id] = { ...merged[id], ...entry };
    return merged;
  };
}

function shippedSettings(config: Config, keys: readonly unknown[]): Record<string, Record<string, unknown>> {
  return {
    'showrunner.auth': {
      keys,
      ...(config.JWT_JWKS === undefined ? {} : { jwks: config.JWT_JWKS }),
      ...(config.JWT_ISSUER === undefined ? {} : { issuer: config.JWT_ISSUER }),
      ...(config.JWT_AUDIENCE === undefined ? {} : { audience: config.JWT_AUDIENCE }),
      openPaths,
      requiredScopes,
    },
    'showrunner.access-log': { quietPaths: openPaths },
    'showrunner.rate-limit': { exemptPaths: openPaths },
  };
}

function readFile(path: string): Record<string, Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw settingsFault(`SHOWRUNNER_FILTERS_CONFIG ${path}: ${messageOf(error)}`, error);
  }
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(parsed) || !Object.values(parsed as object).every(isObject)) {
    throw settingsFault(`SHOWRUNNER_FILTERS_CONFIG ${path}: expected an object of filter id → configuration object`);
  }
  return parsed as Record<string, Record<string, unknown>>;
}

/** `id:secret:scope+scope,…`; the scopes may be left out. */
function readKeys(setting: string) {
  if (setting.trim() === '') return [];
  return setting.split(',').map((entry, index) => {
    const [id = '', secret = '', scopes = '', ...rest] = entry.trim().split(':');
    // The entry holds a secret: only its place is named.
    if (id === '' || secret === '' || rest.length > 0)
      throw settingsFault(`SHOWRUNNER_API_KEYS: entry ${index + 1} is not id:secret:scopes`);
    return { id, secret, scopes: scopes.split('+').filter((scope) => scope !== '') };
  });
}
