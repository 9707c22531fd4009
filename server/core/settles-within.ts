import type { Clock } from './clock.ts';

/** True once the work has settled, well or not; false when it has not within `timeoutMs`. The work itself goes on. */
export async function settlesWithin(clock: Clock, timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  const enough = new AbortController();
  const settled = () => true;
  const late = () => false;
  try {
    return await Promise.race([work.then(settled, settled), clock.sleep(timeoutMs, enough.signal).then(late, late)]);
  } finally {
    enough.abort();
  }
}
