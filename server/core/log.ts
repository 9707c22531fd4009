import { trace } from '@opentelemetry/api';

const levels = { debug: 10, info: 20, warn: 30, error: 40 } as const;
export type LogLevel = keyof typeof levels;
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

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly now?: () => number;
  readonly write?: (line: string) => void;
}

function plain(value: unknown): unknown {
  if (value instanceof Error) {
    const cause = value.cause === undefined ? undefined : plain(value.cause);
    return { name: value.name, message: value.message, stack: value.stack, ...(cause === undefined ? {} : { cause }) };
  }
  return typeof value === 'bigint' ? value.toString() : value;
}

/** A replacer doubles the cost of a line, and most lines have nothing for it: one per call adds up. */
function stringify(line: LogFields): string {
  for (const key in line) {
    const type = typeof line[key];
    if (type === 'object' || type === 'bigint') return JSON.stringify(line, (_key, value) => plain(value));
  }
  return JSON.stringify(line);
}

/** A line of a call costs the call: what is the same in every line of a logger is made once. */
export function createLogger(options: LoggerOptions, bindings: LogFields = {}): Logger {
  const boundKeys = Object.keys(bindings);
  const boundText = stringify(bindings).slice(1, -1);
  const least = levels[options.level];
  const now = options.now ?? Date.now;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const emit = (level: LogLevel, message: string, fields: LogFields | undefined) => {
    if (levels[level] < least) return;
    const span = trace.getActiveSpan()?.spanContext();
    const traced = span ? `,"trace_id":"${span.traceId}","span_id":"${span.spanId}"` : '';
    // A field wins over a bound one of the same name.
    const isBound = fields !== undefined && boundKeys.some((key) => key in fields);
    const bound = isBound ? stringify({ ...bindings, ...fields }).slice(1, -1) : boundText;
    const own = fields === undefined || isBound ? '' : stringify(fields).slice(1, -1);
    const rest = `${bound && `,${bound}`}${own && `,${own}`}`;
    const time = new Date(now()).toISOString();
    write(`{"time":"${time}","level":"${level}","message":${JSON.stringify(message)}${traced}${rest}}\n`);
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
