import type { Redis } from 'ioredis';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { QueueOf } from './cancel-tree.ts';
import type { QueueKeys } from './queue-keys.ts';

interface ClockGuardDeps {
  readonly redis: Redis;
  readonly keys: QueueKeys;
  readonly queueOf: QueueOf;
  /** Queue classes of this worker. */
  readonly classes: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly leaseMs: number;
  readonly stallCheckMs: number;
}

/** Keeps wall clocks that are set back from holding jobs up. */
export interface ClockGuard {
  /** To be called every second or so. Rejects while Redis is away: the next call does it. */
  look(): Promise<void>;
}

/** A clock that goes back by less only makes a retry that much later, in ms. */
const leastJumpMs = 500;
/** What expires in Redis may have this much longer to go than anybody gave it, in ms. */
const checkSlackMs = 5_000;
const leaseSlackMs = 60_000;
const scanCount = 500;
/** BullMQ's score of a delayed job: its time in ms, then twelve bits that keep the order of those of one ms. */
const scorePerMs = 0x1000;

/**
 * BullMQ keeps the time of a retry, and Redis that of what expires, by the wall clock. When that is set back by an hour,
 * a retry in 5 s would wait an hour, the lease of a worker that died just before would last an hour more, and for an
 * hour nobody would look for lost workers. So whatever has longer to go than it was given is timed anew, from now on;
 * doing that twice, or on several workers, changes nothing more. A clock that is set forward only lets retries come
 * early.
 */
export function createClockGuard(deps: ClockGuardDeps): ClockGuard {
  const { classes, clock, log } = deps;
  /** Wall clock before monotonic time at the last look; none before the first, as the jump may have come before us. */
  let lastLead = Number.POSITIVE_INFINITY;

  return {
    look: async () => {
      await shortenLeases(deps);
      const lead = clock.now() - clock.monotonic();
      if (lead < lastLead - leastJumpMs) {
        let retimed = 0;
        for (const queueClass of classes) retimed += await retimeDelayed(deps, queueClass);
        if (retimed > 0) log.warn('wall clock was set back: delayed jobs are timed anew', { jobs: retimed });
      }
      lastLead = lead;
    },
  };
}

/** Jobs that would wait longer than they were told to wait that long from now on. Gives how many these were. */
async function retimeDelayed({ redis, keys, queueOf, clock, log }: ClockGuardDeps, queueClass: string) {
  let retimed = 0;
  for (let cursor = '0'; ; ) {
    const [next, entries] = await redis.zscan(keys.delayed(queueClass), cursor, 'COUNT', scanCount);
    for (let at = 0; at < entries.length; at += 2) {
      const [jobId = '', score = '0'] = [entries[at], entries[at + 1]];
      const delayMs = Number((await redis.hget(keys.queued(queueClass, jobId), 'delay')) ?? 0);
      if (Number(score) / scorePerMs - clock.now() <= delayMs + leastJumpMs) continue;
      const job = await queueOf(queueClass).getJob(jobId);
      try {
        await job?.changeDelay(delayMs);
        retimed++;
      } catch (error) {
        // Promoted or cancelled meanwhile, as BullMQ's codes say; anything else is the connection's.
        if (typeof (error as { readonly code?: unknown }).code !== 'number') throw error;
        log.debug('delayed job is delayed no more', { job_id: jobId, error: messageOf(error) });
      }
    }
    cursor = next;
    if (cursor === '0') return retimed;
  }
}

/** Seen by what Redis itself says, whose clock may be another machine's. */
async function shortenLeases({ redis, keys, classes, leaseMs, stallCheckMs }: ClockGuardDeps): Promise<void> {
  const reads = redis.pipeline();
  for (const name of classes) reads.pttl(keys.stalledCheck(name)).lrange(keys.active(name), 0, -1);
  const replies = ((await reads.exec()) ?? []).map(([, reply]) => reply);
  const writes = redis.pipeline();
  for (const [index, name] of classes.entries()) {
    const left = Number(replies[index * 2]);
    if (left > stallCheckMs + checkSlackMs) writes.del(keys.stalledCheck(name));
    for (const jobId of (replies[index * 2 + 1] as string[] | undefined) ?? []) {
      const lock = `${keys.queued(name, jobId)}:lock`;
      if ((await redis.pttl(lock)) > leaseMs + leaseSlackMs) writes.pexpire(lock, leaseMs);
    }
  }
  if (writes.length > 0) await writes.exec();
}
