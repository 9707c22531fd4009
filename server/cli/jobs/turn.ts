import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type DescMessage, fromJson, type JsonObject, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { invalidField, messageOf } from '../../core/errors.ts';
import type { RpcClient } from '../../rpc/client.ts';
import { type CallOptions, connectionOptions } from '../connection.ts';

const options = {
  ...connectionOptions,
  label: { type: 'string', multiple: true },
  kind: { type: 'string', multiple: true },
  state: { type: 'string', multiple: true },
  priority: { type: 'string', default: '0' },
  'request-id': { type: 'string', default: '' },
  text: { type: 'string', default: '' },
  owner: { type: 'string', default: '' },
  template: { type: 'string', default: '' },
  schedule: { type: 'string', default: '' },
  parts: { type: 'boolean', default: false },
  limit: { type: 'string' },
  attempt: { type: 'string', default: '0' },
  follow: { type: 'boolean', default: false },
  since: { type: 'string', default: '24h' },
  watch: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  'newest-first': { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
} as const;

type Values = ReturnType<typeof parseJobArgs>['values'];

/** What a subcommand is given. */
export interface Turn {
  readonly client: RpcClient<typeof JobService>;
  readonly call: CallOptions;
  readonly args: readonly string[];
  readonly values: Values;
}

/** One of the things that `showrunner jobs` does. */
export interface Subcommand {
  readonly usage: string;
  readonly doc: string;
  run(turn: Turn): Promise<void>;
}

/** Longest that a job is watched or its log is followed. */
export const longestMs = 24 * 3_600_000;

/** Throws ERR_PARSE_ARGS_… for an unknown flag. */
export function parseJobArgs(args: readonly string[]) {
  return parseArgs({ args: [...args], allowPositionals: true, options });
}

/** Writes a line. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** `jobs/x` of `x` or `jobs/x`; a missing or odd one is refused. */
export function nameIn(collection: string, text: string | undefined): string {
  const id = text?.startsWith(`${collection}/`) ? text.slice(collection.length + 1) : text;
  if (id === undefined || id === '' || id.includes('/')) {
    throw invalidField('NAME', `expected ${collection}/…, got "${text ?? ''}"`);
  }
  return `${collection}/${id}`;
}

/** An object as JSON text, or of a file as `@file`; none = `{}`. */
export function readObject(text: string | undefined): JsonObject {
  try {
    const read = text?.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : (text ?? '{}');
    const value = JSON.parse(read) as JsonValue;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('expected a JSON object');
    return value;
  } catch (error) {
    throw invalidField('JSON', messageOf(error));
  }
}

/** A resource with its name, of JSON that a caller wrote. */
export function readResource<D extends DescMessage>(desc: D, name: string, text: string | undefined): MessageShape<D> {
  if (text === undefined) throw invalidField('JSON', 'expected an object or @file');
  try {
    return fromJson(desc, { ...readObject(text), name });
  } catch (error) {
    throw invalidField('JSON', messageOf(error));
  }
}

/** Labels of `--label key=value`. */
export function readLabels(texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw invalidField('--label', `expected key=value, got "${text}"`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** A whole number of a flag, 0 or more. */
export function readCount(flag: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw invalidField(flag, `expected a whole number, got "${text}"`);
  return Number(text);
}

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a text like `90s`, `15m`, `24h` or `7d`. */
export function readSpan(flag: string, text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw invalidField(flag, `expected e.g. 90s, 24h or 7d, got "${text}"`);
  return Number(count) * unitsMs[unit as keyof typeof unitsMs];
}

/** A moment as RFC 3339 or a date, which begins at 00:00 UTC. */
export function readTime(what: string, text: string | undefined): Date {
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text ?? '');
  const time = new Date(text ?? '');
  if (!isTime || Number.isNaN(time.getTime())) {
    throw invalidField(what, `expected e.g. 2026-01-31 or 2026-01-31T03:00:00Z, got "${text ?? ''}"`);
  }
  return time;
}
