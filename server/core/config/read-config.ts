import { readFileSync } from 'node:fs';
import { Code } from '../codes.ts';
import { AppError, messageOf } from '../errors.ts';
import type { Setting } from './setting.ts';
import { type Config, type SettingName, settings } from './settings.ts';

const prefix = 'SHOWRUNNER_';

/**
 * Reads all settings from `env` over the file that SHOWRUNNER_CONFIG names there, if any. Every fault is reported in
 * one CONFIG_INVALID error: unreadable values, unknown SHOWRUNNER_ names (typos), settings that need each other.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const given = new Map<string, string>();
  const path = env[`${prefix}CONFIG`];
  if (path) {
    try {
      const fault = (text: string) => faults.push(`${prefix}CONFIG: ${text}`);
      for (const [name, value] of parseConfigFile(readFileSync(path, 'utf8'), fault)) given.set(name, value);
    } catch (error) {
      faults.push(`${prefix}CONFIG: ${messageOf(error)}`);
    }
  }
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && name !== `${prefix}CONFIG` && value !== undefined)
      given.set(name.slice(prefix.length), value);
  }
  for (const name of given.keys()) if (!Object.hasOwn(settings, name)) faults.push(`${prefix}${name}: no such setting`);

  const values: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(settings) as [SettingName, Setting<unknown>][]) {
    const raw = given.get(name);
    try {
      values[name] = raw === undefined ? entry.fallback : entry.read(raw);
    } catch (error) {
      faults.push(`${prefix}${name}: ${entry.secret ? 'cannot be read' : messageOf(error)}`);
    }
  }
  const config = values as Config;
  if (!config.TLS_CERT !== !config.TLS_KEY) faults.push(`${prefix}TLS_CERT and ${prefix}TLS_KEY must be set together`);
  if (config.TLS_CLIENT_CA && !config.TLS_CERT) faults.push(`${prefix}TLS_CLIENT_CA needs ${prefix}TLS_CERT`);
  if (config.TLS_CLIENT_CA && config.WEB_ADDRESS) {
    faults.push(
      `${prefix}WEB_ADDRESS cannot be set with ${prefix}TLS_CLIENT_CA: no browser's certificate can be passed on`,
    );
  }
  if (faults.length > 0) {
    throw new AppError({
      code: Code.INVALID_ARGUMENT,
      reason: 'CONFIG_INVALID',
      message: `configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    });
  }
  return Object.freeze(config);
}

/** `NAME=value` lines, with or without the SHOWRUNNER_ prefix and quotes around the value; `#` starts a comment line. */
function* parseConfigFile(source: string, fault: (text: string) => void): Iterable<[string, string]> {
  for (const [index, line] of source.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const split = trimmed.indexOf('=');
    if (split < 1) {
      fault(`line ${index + 1}: expected NAME=value`);
      continue;
    }
    const name = trimmed.slice(0, split).trim();
    yield [name.startsWith(prefix) ? name.slice(prefix.length) : name, unquoted(trimmed.slice(split + 1).trim())];
  }
}

/** As shells and systemd read such files. */
function unquoted(value: string): string {
  return /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
}
