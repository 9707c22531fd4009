import type { Redis } from 'ioredis';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { orAborted } from '../../server/core/or-aborted.ts';
import type { JobProgress } from './job-kind.ts';
import type { ChildNote, JobLedger, LeaveReason, StartBody } from './job-ledger.ts';
import type { JobOutcome } from './job-outcome.ts';

/** Something that happened to a job, as told by the ledger. */
export type QueueEvent = {
  /** Place in the stream, e.g. `1764027310123-0`: grows, also over restarts of Redis. */
  readonly position: string;
  readonly jobId: string;
  readonly atMs: number;
  readonly fence: bigint;
  readonly attempt: number;
} & (
  | { readonly type: 'added'; readonly child: ChildNote }
  | { readonly type: 'started'; readonly start: StartBody }
  | { readonly type: 'progress'; readonly progress: JobProgress }
  | { readonly type: 'left'; readonly reason: LeaveReason | { readonly why: 'lost' } }
  | { readonly type: 'finished'; readonly outcome: JobOutcome }
);

const blockMs = 5_000;
const batchSize = 256;
const errorPauseMs = 500;

type StreamReply = [string, [string, string[]][]][] | null;

/**
 * Events after `after` in order, in batches as they come, until the signal. Redis keeps the last 50,000:
 * who was away for longer finds the outcomes by `inspect`. An outage of Redis is waited out.
 */
export async function* readQueueEvents(
  { redis, ledger, stream, clock, log }: { redis: Redis; ledger: JobLedger; stream: string; clock: Clock; log: Logger },
  after: string,
  signal: AbortSignal,
): AsyncGenerator<QueueEvent[]> {
  for (let position = after; !signal.aborted; ) {
    let events: QueueEvent[];
    try {
      // The blocked command itself ends with its connection or its time.
      const reading = redis.xread('COUNT', batchSize, 'BLOCK', blockMs, 'STREAMS', stream, position);
      const reply = (await orAborted(reading, signal)) as StreamReply | undefined;
      const entries = reply?.[0]?.[1] ?? [];
      const read = await Promise.all(entries.map((entry) => readEvent(entry, ledger, log)));
      events = read.filter((event) => event !== undefined);
      // Not before all are there: what cannot be fetched now is read again.
      position = entries.at(-1)?.[0] ?? position;
    } catch (error) {
      if (signal.aborted) return;
      log.debug('job events could not be read', { error: messageOf(error) });
      await clock.sleep(errorPauseMs, signal).catch(() => {});
      continue;
    }
    if (events.length > 0) yield events;
  }
}

async function readEvent(
  [position, fields]: [string, string[]],
  ledger: JobLedger,
  log: Logger,
): Promise<QueueEvent | undefined> {
  const field = (name: string) => fields[fields.indexOf(name) + 1] ?? '';
  const jobId = field('id');
  const common = {
    position,
    jobId,
    atMs: Number(field('at')),
    fence: BigInt(field('fence')),
    attempt: Number(field('attempt')),
  };
  const text = field('body');
  const body = text === '' ? (await ledger.inspect([jobId]))[0]?.outcome : parse(text, position, log);
  // A large outcome that has expired meanwhile: a server took it over long ago.
  if (body === undefined) return undefined;
  switch (field('type')) {
    case 'added':
      return { ...common, type: 'added', child: body };
    case 'started':
      return { ...common, type: 'started', start: body };
    case 'progress':
      return { ...common, type: 'progress', progress: body };
    case 'left':
      return { ...common, type: 'left', reason: body };
    case 'finished':
      return { ...common, type: 'finished', outcome: body };
    default:
      return undefined;
  }
}

/** Undefined for what no worker wrote: it must not hold up what comes after it. */
function parse(text: string, position: string, log: Logger) {
  try {
    return JSON.parse(text);
  } catch (error) {
    log.error('job event cannot be read', { position, error: messageOf(error) });
    return undefined;
  }
}
