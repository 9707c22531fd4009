/**
 * The thread of a lease keeper, see lease-keeper.ts. Renews BullMQ's locks of the jobs that the main thread runs,
 * for as long as the main thread gives signs of life.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Redis } from 'ioredis';
import { redisOptions } from './connection.ts';
import type { HeldLease, LeaseKeeperData } from './lease-keeper.ts';

const { url, leaseMs, maxBlockMs, beat } = workerData as LeaseKeeperData;
const held = new Map<string, HeldLease>();
const redis = new Redis(redisOptions(url, 'producer'));
// The main thread's own connection tells of outages.
redis.on('error', () => {});

/** As BullMQ's extendLock: the lock must still be ours, and a renewed job is not stalled. */
const renew = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SREM', KEYS[2], ARGV[3])
return 1`;

parentPort?.on('message', (change: { readonly hold?: HeldLease; readonly drop?: HeldLease }) => {
  if (change.hold !== undefined) held.set(change.hold.lockKey, change.hold);
  const { drop } = change;
  if (drop !== undefined && held.get(drop.lockKey)?.token === drop.token) held.delete(drop.lockKey);
});

let lastBeat = 0;
let lastBeatMs = performance.now();
setInterval(() => {
  const count = Atomics.load(beat, 0);
  if (count !== lastBeat) {
    lastBeat = count;
    lastBeatMs = performance.now();
  }
  if (performance.now() - lastBeatMs > maxBlockMs) return;
  for (const { lockKey, stalledKey, jobId, token } of held.values()) {
    // A failed renewal is the main thread's to notice; the next turn tries again.
    redis.eval(renew, 2, lockKey, stalledKey, token, leaseMs, jobId).catch(() => {});
  }
}, leaseMs / 3);
