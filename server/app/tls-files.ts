import { readFileSync } from 'node:fs';
import type { Config, SettingName } from '../core/config/settings.ts';
import { messageOf } from '../core/errors.ts';
import { settingsFault } from './errors.ts';

/** The server's certificate, undefined when TLS is off. Throws CONFIG_INVALID for a file that cannot be read. */
export function readServerTls(config: Config) {
  const { TLS_CERT, TLS_KEY, TLS_CLIENT_CA } = config;
  if (TLS_CERT === undefined || TLS_KEY === undefined) return undefined;
  return {
    cert: readPem('TLS_CERT', TLS_CERT),
    key: readPem('TLS_KEY', TLS_KEY),
    ...(TLS_CLIENT_CA === undefined ? {} : { clientCa: readPem('TLS_CLIENT_CA', TLS_CLIENT_CA) }),
  };
}

/** What certificates of other servers are checked against, undefined for what Node ships. Throws CONFIG_INVALID. */
export function readOriginTls({ UPSTREAM_CA }: Config) {
  return UPSTREAM_CA === undefined ? undefined : { ca: readPem('UPSTREAM_CA', UPSTREAM_CA) };
}

function readPem(setting: SettingName, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw settingsFault(`SHOWRUNNER_${setting} ${path}: ${messageOf(error)}`, error);
  }
}
