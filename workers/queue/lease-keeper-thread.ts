/**
 * The thread of a lease keeper, see lease-keeper.ts. Renews BullMQ's locks of the jobs that the main thread runs,
 * for as long as the main thread gives signs of life.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Redis } from 'ioredis';
import { redisOptions } from './connection.ts';
import type { HeldLease, LeaseKeeperData } from './lease-keeper.ts';
import { renewLease } from './renew-lease.ts';

const { url, leaseMs, maxBlockMs, beat } = workerData as LeaseKeeperData;
const held = new Map<string, HeldLease>();
const redis = new Redis(redisOptions(url, 'producer'));
// The main thread's own connection tells of outages.
redis.on('error', () => {});

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
  // A failed renewal is the main thread's to notice; the next turn tries again.
  for (const lease of held.values()) renewLease(redis, lease, leaseMs).catch(() => {});
}, leaseMs / 3);
