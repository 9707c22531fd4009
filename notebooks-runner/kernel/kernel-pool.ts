import type { Clock } from '../../server/core/clock.ts';
import { createCounters } from '../../server/core/counters.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { createFairGate } from './fair-gate.ts';
import { type KernelRequest, kernelKeyOf } from './kernel-request.ts';
import { type ReadyKernel, startReadyKernel } from './ready-kernel.ts';

interface KernelPoolOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Kernels that wait for a run, over all keys. Default 2. */
  readonly maxIdle?: number;
  /** Kernels that run at once; further claims wait, owner by owner in turn. Default 8. */
  readonly maxRunning?: number;
  /** Kernels that start at once: starting is bound by the processor. Default 2. */
  readonly maxStarting?: number;
  /** A kernel that waited longer is ended, in ms. Default 600,000. */
  readonly maxIdleAgeMs?: number;
  /**
   * A kernel's successor is started when its run ends, so that a short run does not share the processor, but at the
   * latest this long after the claim, in ms. Default 100.
   */
  readonly refillDelayMs?: number;
}

/** Kernels started ahead of their runs. Each serves one run only, so that nothing of one run reaches another. */
export interface KernelPool extends AsyncDisposable {
  /**
   * A kernel for the request: one that waits, or a new one. Its successor is then started in the background, but
   * never while a claim waits for a start. Closing it returns at once where it works in its private folder: it then
   * ends in the background. Throws as startKernel, or the signal's reason.
   */
  claim(request: KernelRequest, claim: KernelClaim): Promise<ReadyKernel>;
  /** Starts a kernel ahead unless one waits; resolves when it waits or could not be started. */
  prewarm(request: KernelRequest): Promise<void>;
  /** Kernels that wait now. */
  idle(): number;
  counts(): Readonly<Record<'claims_warm' | 'claims_cold' | 'prewarmed' | 'discarded', number>>;
  /** Ends the kernels that wait and starts no more; claimed ones go on. Idempotent. */
  close(): Promise<void>;
}

interface KernelClaim {
  readonly signal: AbortSignal;
  /** Whose turn this claim takes. Default one turn for all. */
  readonly owner?: string | undefined;
  /** False for a request that no later one will equal, e.g. one with secrets: no successor is started. */
  readonly isRepeatable: boolean;
}

interface Waiting {
  readonly key: string;
  readonly ready: ReadyKernel;
  readonly stopTimer: () => void;
}

/** How long a run has for itself before its kernel is ended in the background. */
const endDelayMs = 30;
/** How long a waiting kernel may take to answer before it counts as dead. */
const probeMs = 1_000;

/**
 * Waits with up to `maxIdle` kernels; of those beyond it the one that waited longest is ended. A kernel that does not
 * answer within a second of its claim is ended too, and the claim takes another.
 */
export function createKernelPool(options: KernelPoolOptions): KernelPool {
  const { clock, log, maxIdle = 2, maxIdleAgeMs = 600_000, refillDelayMs = 100 } = options;
  const running = createFairGate(options.maxRunning ?? 8);
  const starting = createFairGate(options.maxStarting ?? 2);
  const counters = createCounters('notebooks.kernel_pool', {
    claims_warm: 'claims served by a kernel that waited',
    claims_cold: 'claims for which a kernel was started',
    prewarmed: 'kernels started ahead',
    discarded: 'waiting kernels that were ended unused',
  });
  const closing = new AbortController();
  const waiting: Waiting[] = [];
  /** Starts ahead, by key: a claim takes the coming kernel rather than starting one more. */
  const coming = new Map<string, Promise<void>>();
  const endings = new Set<Promise<void>>();
  let coldStarts = 0;

  function discard(entry: Waiting): void {
    const place = waiting.indexOf(entry);
    if (place >= 0) waiting.splice(place, 1);
    entry.stopTimer();
    counters.add('discarded');
    void endLater(entry.ready);
  }

  /** Ends a kernel behind the caller's back; closing the pool waits for it. */
  function endLater(ready: ReadyKernel): Promise<void> {
    const ending = ready.close().catch((error: unknown) => {
      log.error('kernel not ended', { kernel: ready.kernel.spec.name, error: messageOf(error) });
    });
    endings.add(ending);
    return ending.finally(() => endings.delete(ending));
  }

  /** A waiting kernel that still answers. */
  async function take(key: string): Promise<ReadyKernel | undefined> {
    for (;;) {
      const entry = waiting.find((candidate) => candidate.key === key);
      if (entry === undefined) return undefined;
      waiting.splice(waiting.indexOf(entry), 1);
      entry.stopTimer();
      const { kernel } = entry.ready;
      if (!kernel.hasDied() && (await kernel.probe(probeMs)) && !kernel.hasDied()) return entry.ready;
      discard(entry);
    }
  }

  async function startAhead(key: string, request: KernelRequest): Promise<void> {
    try {
      const leave = await starting.enter('', closing.signal);
      try {
        const ready = await startReadyKernel(request, { signal: closing.signal, clock, log });
        // What a kernel does at the end of its first cell is done here too.
        await ready.kernel.barrier();
        keep(key, ready);
      } finally {
        leave();
      }
    } catch (error) {
      if (!closing.signal.aborted) log.warn('kernel not started ahead', { error: messageOf(error) });
    } finally {
      coming.delete(key);
    }
  }

  function keep(key: string, ready: ReadyKernel): void {
    counters.add('prewarmed');
    const entry: Waiting = {
      key,
      ready,
      stopTimer: clock.schedule(maxIdleAgeMs, () => discard(entry)),
    };
    waiting.push(entry);
    // The oldest goes: its key was asked for the longest time ago.
    while (waiting.length > (closing.signal.aborted ? 0 : maxIdle)) {
      const [oldest] = waiting;
      if (oldest === undefined) break;
      discard(oldest);
    }
  }

  function prewarm(request: KernelRequest): Promise<void> {
    const key = kernelKeyOf(request);
    if (closing.signal.aborted || maxIdle === 0 || waiting.some((entry) => entry.key === key)) return Promise.resolve();
    const known = coming.get(key);
    if (known !== undefined) return known;
    const start = startAhead(key, request);
    coming.set(key, start);
    return start;
  }

  /** Starts a successor after the delay, or once the returned function is called. */
  function refillLater(request: KernelRequest): () => void {
    const refill = () => {
      cancel();
      if (closing.signal.aborted) return;
      if (coldStarts > 0) refillLater(request);
      else void prewarm(request);
    };
    const cancel = clock.schedule(refillDelayMs, refill);
    return refill;
  }

  async function startCold(request: KernelRequest, signal: AbortSignal): Promise<ReadyKernel> {
    coldStarts++;
    try {
      const leave = await starting.enter('', signal);
      try {
        return await startReadyKernel(request, { signal, clock, log });
      } finally {
        leave();
      }
    } finally {
      coldStarts--;
    }
  }

  async function obtain(request: KernelRequest, { signal, isRepeatable }: KernelClaim): Promise<ReadyKernel> {
    const key = kernelKeyOf(request);
    const startedMs = clock.monotonic();
    const start = coming.get(key);
    if (isRepeatable && start !== undefined) await Promise.race([start, whenAborted(signal)]);
    signal.throwIfAborted();
    const found = isRepeatable ? await take(key) : undefined;
    if (found === undefined) {
      counters.add('claims_cold');
      return startCold(request, signal);
    }
    counters.add('claims_warm');
    return { ...found, isPrewarmed: true, readyAfterMs: clock.monotonic() - startedMs };
  }

  async function close(): Promise<void> {
    closing.abort();
    for (const entry of [...waiting]) discard(entry);
    await Promise.all(coming.values());
    await Promise.all(endings);
  }

  return {
    claim: async (request, claim) => {
      const leave = await running.enter(claim.owner ?? '', claim.signal);
      try {
        const ready = await obtain(request, claim);
        const refill = claim.isRepeatable ? refillLater(request) : () => {};
        const isShared = request.cwd !== undefined;
        const close = () => {
          if (isShared) return endLater(ready).finally(leave);
          // A moment later, so that looking for strays does not hold up the caller's own files.
          const afterwards = { close: () => clock.sleep(endDelayMs).then(refill).then(ready.close) };
          void endLater({ ...ready, ...afterwards }).finally(leave);
          return Promise.resolve();
        };
        // In a folder of the caller's the kernel may still have files to write before it ends.
        return { ...ready, end: isShared ? ready.end : () => Promise.resolve(), close };
      } catch (error) {
        leave();
        throw error;
      }
    },
    prewarm,
    idle: () => waiting.length,
    counts: counters.snapshot,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
