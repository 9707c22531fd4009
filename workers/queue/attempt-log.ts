import type { Clock } from '../../server/core/clock.ts';
import type { LogFields, Logger, LogLevel } from '../../server/core/log.ts';

/** A line of a job's log on its way from a worker to the servers. */
export interface AttemptLogLine {
  readonly jobId: string;
  readonly attempt: number;
  /** From 1 within the attempt. */
  readonly number: number;
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

const maxLines = 1_000;
const maxMessageChars = 2_000;
const maxFields = 20;
const maxFieldChars = 1_000;

/** A logger that also hands each line on, up to 1,000 of an attempt; the last one says that more were left out. */
export function createAttemptLog(
  log: Logger,
  { jobId, attempt }: { readonly jobId: string; readonly attempt: number },
  clock: Clock,
  send: (line: AttemptLogLine) => void,
): Logger {
  let lines = 0;
  const tell = (level: LogLevel, message: string, fields: LogFields) => {
    if (lines >= maxLines) return;
    lines++;
    const common = { jobId, attempt, number: lines, atMs: Math.round(clock.now()) };
    if (lines === maxLines) send({ ...common, level: 'warn', message: 'further lines are left out', fields: {} });
    else send({ ...common, level, message: message.slice(0, maxMessageChars), fields: toTexts(fields) });
  };
  const wrap = (inner: Logger, bound: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
      inner[level](message, fields);
      tell(level, message, { ...bound, ...fields });
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => wrap(inner.child(fields), { ...bound, ...fields }),
    };
  };
  return wrap(log, {});
}

function toTexts(fields: LogFields): Record<string, string> {
  const entries = Object.entries(fields).slice(0, maxFields);
  return Object.fromEntries(entries.map(([key, value]) => [key.slice(0, 100), toText(value).slice(0, maxFieldChars)]));
}

function toText(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value === 'string') return value;
  try {
    return (
      JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? String(member) : member)) ?? ''
    );
  } catch {
    return String(value);
  }
}
