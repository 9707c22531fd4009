import type { WorkerPool } from '../../workers/pool.ts';
import type { Clock } from '../core/clock.ts';
import type { App } from './build-app.ts';

interface ClosingStack {
  readonly app: Pick<App, 'announceClose' | 'close'>;
  readonly pool: Pick<WorkerPool, 'close'>;
  readonly clock: Clock;
  /** For jobs and calls together, in ms. */
  readonly drainTimeoutMs: number;
}

/** What workers get beyond the drain time to hand their jobs back. */
const handBackMs = 10_000;
/** What calls get at least, where jobs took all of the drain time. */
const leastDrainMs = 1_000;

/**
 * Ends the workers, then the server, within one drain time: jobs may call the server until they end, so its calls drain
 * after them, with what is left of the time.
 */
export async function closeStack({ app, pool, clock, drainTimeoutMs }: ClosingStack): Promise<void> {
  const end = clock.monotonic() + drainTimeoutMs;
  app.announceClose();
  await pool.close(drainTimeoutMs + handBackMs);
  await app.close(Math.max(end - clock.monotonic(), Math.min(drainTimeoutMs, leastDrainMs)));
}
