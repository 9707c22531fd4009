import { trace } from '@opentelemetry/api';
import { messageOf } from './errors.ts';
import { createLineWriter } from './line-writer.ts';

const levels = { debug: 10, info: 20, warn: 30, error: 40 } as const;
/** Levels of lines, least first: `debug`, `info`, `warn`, `error`. */
export type LogLevel = keyof typeof levels;
/** Data of a line: snake_case keys. Errors are written with stack and causes, bigints as text. */
export type LogFields = Readonly<Record<string, unknown>>;

/** JSON lines on stderr: a constant message, data in snake_case keys, trace and span id of the active span. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line (call id, job id). */
  child(fields: LogFields): Logger;
}

/** What is logged and where it goes. */
export interface LoggerOptions {
  /** Lines below it are dropped. */
  readonly level: LogLevel;
  /** Unix ms. Default: the system's. */
  readonly now?: () => number;
  /** Default: stderr, the lines of one turn of the event loop at once, errors without delay. */
  readonly write?: (line: string, isUrgent: boolean) => void;
}

/** Causes of causes that are written; a chain may also be a ring. */
const maxCauses = 8;

function plain(value: unknown, causes = maxCauses): unknown {
  if (value instanceof Error) {
    const cause = value.cause === undefined || causes === 0 ? undefined : plain(value.cause, causes - 1);
    return { name: value.name, message: value.message, stack: value.stack, ...(cause === undefined ? {} : { cause }) };
  }
  return typeof value === 'bigint' ? value.toString() : value;
}

/** Text that JSON writes as it is. */
const plainText = /^[ !#-[\]-~]*$/;
const maxKnownKeys = 1024;
const keyTexts = new Map<string, string>();

/** `"key":`; a program has few keys, so that each is made once. */
function keyText(key: string): string {
  const known = keyTexts.get(key);
  if (known !== undefined) return known;
  const text = `${JSON.stringify(key)}:`;
  if (keyTexts.size < maxKnownKeys) keyTexts.set(key, text);
  return text;
}

function quote(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}

function numberText(value: number): string {
  return Number.isFinite(value) ? `${value}` : 'null';
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_key, inner) => plain(inner));
  } catch (fault) {
    // A ring, or a getter that throws: whoever logs, often a failure, must not fail by it.
    const text = value instanceof Error ? (value.stack ?? value.message) : 'value';
    return JSON.stringify(`${text} [not JSON: ${messageOf(fault)}]`);
  }
}

/** The fields of a JSON object without its braces. Most lines hold texts and numbers only, for which joining does. */
function stringify(fields: LogFields): string {
  let text = '';
  for (const key in fields) {
    const value = fields[key];
    const type = typeof value;
    if (value === undefined || type === 'function' || type === 'symbol') continue;
    const json =
      type === 'string' ? quote(value as string) : type === 'number' ? numberText(value as number) : toJson(value);
    if (json !== undefined) text += `${text === '' ? '' : ','}${keyText(key)}${json}`;
  }
  return text;
}

const stderrLines = createLineWriter({ output: process.stderr });
process.on('exit', stderrLines.flush);

function toStderr(line: string, isUrgent: boolean): void {
  stderrLines.write(line, isUrgent);
}

let lastMs = Number.NaN;
let lastTime = '';

/** The same for all lines of a millisecond. */
function isoTime(ms: number): string {
  if (ms !== lastMs) {
    lastMs = ms;
    lastTime = new Date(ms).toISOString();
  }
  return lastTime;
}

function hasAny(fields: LogFields, keys: readonly string[]): boolean {
  for (const key of keys) if (key in fields) return true;
  return false;
}

/** `bindings` are in every line, and made into text once: a line of a call costs the call. */
export function createLogger(options: LoggerOptions, bindings: LogFields = {}): Logger {
  const boundKeys = Object.keys(bindings);
  const boundText = stringify(bindings);
  const least = levels[options.level];
  const now = options.now ?? Date.now;
  const write = options.write ?? toStderr;
  const emit = (level: LogLevel, message: string, fields: LogFields | undefined) => {
    if (levels[level] < least) return;
    const span = trace.getActiveSpan()?.spanContext();
    const traced = span ? `,"trace_id":"${span.traceId}","span_id":"${span.spanId}"` : '';
    // A field wins over a bound one of the same name.
    const isBound = fields !== undefined && hasAny(fields, boundKeys);
    const bound = isBound ? stringify({ ...bindings, ...fields }) : boundText;
    const own = fields === undefined || isBound ? '' : stringify(fields);
    const rest = `${bound && `,${bound}`}${own && `,${own}`}`;
    const time = isoTime(now());
    const line = `{"time":"${time}","level":"${level}","message":${quote(message)}${traced}${rest}}\n`;
    write(line, level === 'error');
  };
  return {
    debug: (message, fields) => emit('debug', message, fields),
    info: (message, fields) => emit('info', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    error: (message, fields) => emit('error', message, fields),
    child: (fields) => createLogger(options, { ...bindings, ...fields }),
  };
}

/** Drops everything: for libraries used outside a process that logs. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
