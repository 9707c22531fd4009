import { readFileSync } from 'node:fs';
import type { Config } from '../core/config/settings.ts';
import { messageOf } from '../core/errors.ts';
import { type ClientTls, channelCredentials } from '../rpc/client.ts';
import { type ServerTls, serverCredentials } from '../rpc/server-tls.ts';
import { settingsFault } from './errors.ts';
import { type FilterSettings, readFilterSettings } from './filter-settings.ts';

/** What the settings only name. */
export interface SettingsFiles {
  /** The server's certificate, undefined when TLS is off. */
  readonly serverTls: ServerTls | undefined;
  /** What certificates of other servers are checked against, undefined for what Node ships. */
  readonly originTls: ClientTls | undefined;
  /** Configuration of the shipped filters with the administrator's key of the state folder. */
  readonly filters: (localKey: string) => FilterSettings;
}

type PemSetting = 'TLS_CERT' | 'TLS_KEY' | 'TLS_CLIENT_CA' | 'UPSTREAM_CA';

/**
 * Reads the files that settings name, once (one may be a pipe), and before anything is opened: a start that cannot end
 * well must leave nothing behind. Throws CONFIG_INVALID that names every fault, or TLS_INVALID when it is the one.
 */
export function readSettingsFiles(config: Config): SettingsFiles {
  const faults: unknown[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      faults.push(error);
      return undefined;
    }
  };
  const pem = (setting: PemSetting) => {
    const path = config[setting];
    return path === undefined ? undefined : attempt(() => readPem(setting, path));
  };
  const [cert, key, clientCa, ca] = [pem('TLS_CERT'), pem('TLS_KEY'), pem('TLS_CLIENT_CA'), pem('UPSTREAM_CA')];
  const serverTls = cert === undefined || key === undefined ? undefined : { cert, key, clientCa };
  const originTls = ca === undefined ? undefined : { ca };
  attempt(() => serverCredentials(serverTls));
  attempt(() => channelCredentials(originTls));
  const filters = attempt(() => readFilterSettings(config));
  if (filters === undefined || faults.length > 0) throw faults.length > 1 ? allOf(faults) : faults[0];
  return { serverTls, originTls, filters };
}

function readPem(setting: PemSetting, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw settingsFault(`SHOWRUNNER_${setting} ${path}: ${messageOf(error)}`, error);
  }
}

function allOf(faults: readonly unknown[]) {
  return settingsFault(
    `configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${messageOf(fault)}`).join('\n')}`,
  );
}
