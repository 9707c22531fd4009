import type { Call, StaticAnswer } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import type { Filter } from '../filter.ts';
import { filterLoadFailed, filterWorkerEnded } from '../filter-errors.ts';
import type { FilterFolder } from '../load/read-folders.ts';
import { withDeadline } from '../with-deadline.ts';
import {
  applyChanges,
  type DeclaredFilter,
  fromPlainError,
  type OpenedInWorker,
  type PlainResult,
  toPlainCall,
} from './isolation-protocol.ts';
import { type FilterThread, startFilterThread, type WorkerLimits } from './worker-host.ts';

interface IsolationOptions {
  readonly source: FilterFolder;
  /** It runs in a worker whatever it says itself. */
  readonly isIsolated: boolean;
  readonly limits: WorkerLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Longest import and open, in ms. */
  readonly openTimeoutMs: number;
}

/** A thread in which the filter is imported; the first answer is what it declares. */
async function startDeclared(
  options: IsolationOptions,
  onEnd: (why: string) => void,
): Promise<{ thread: FilterThread; declared: DeclaredFilter }> {
  const { source, isIsolated, limits, clock, log, openTimeoutMs } = options;
  const thread = startFilterThread({ name: source.file, limits, clock, log, onEnd });
  const expired = () => filterLoadFailed(source.file, `import took over ${openTimeoutMs} ms`);
  try {
    const declared = await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () =>
      thread.request({ kind: 'declare', source, isIsolated }),
    );
    return { thread, declared: declared as DeclaredFilter };
  } catch (error) {
    await thread.end('the import failed');
    throw error;
  }
}

/** Imports a filter in a thread that is ended again: what it declares. Throws FILTER_LOAD_FAILED, FILTER_INVALID. */
export async function declareFilter(options: IsolationOptions): Promise<DeclaredFilter> {
  const { thread, declared } = await startDeclared(options, () => {});
  await thread.end('it was only asked what it declares');
  return declared;
}

/** The filter in its threads: one at a time, a new one in place of one that ended, none for a while after too many. */
class IsolatedFilter {
  readonly #options: IsolationOptions;
  readonly #id: string;
  readonly #rawConfig: unknown;
  #thread: FilterThread | undefined;
  #starting: Promise<FilterThread> | undefined;
  #startedAt: number[] = [];
  #isClosed = false;
  opened: OpenedInWorker | undefined;

  constructor(options: IsolationOptions, id: string, rawConfig: unknown) {
    this.#options = options;
    this.#id = id;
    this.#rawConfig = rawConfig;
  }

  /** Starts the first thread. */
  async open(): Promise<void> {
    await this.#start();
  }

  async run(call: Call, signal: AbortSignal): Promise<StaticAnswer | undefined> {
    const thread = this.#thread?.hasEnded === false ? this.#thread : await this.#restart();
    const result = (await thread.request({ kind: 'run', call: toPlainCall(call) }, signal)) as PlainResult;
    if (signal.aborted) throw signal.reason;
    applyChanges(call, result.changes);
    if (result.error !== undefined) throw fromPlainError(result.error);
    return result.answer && { messages: result.answer };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread === undefined || thread.hasEnded) return;
    await thread.request({ kind: 'close' });
    await thread.end('it is closed');
  }

  #restart(): Promise<FilterThread> {
    if (this.#starting !== undefined) return this.#starting;
    const { limits, clock, log } = this.#options;
    const now = clock.monotonic();
    if (this.#isClosed) return Promise.reject(filterWorkerEnded(this.#id, 'it is closed'));
    const recent = this.#startedAt.filter((at) => at > now - limits.restartWindowMs);
    const last = recent.at(-1) ?? Number.NEGATIVE_INFINITY;
    if (recent.length > limits.maxRestarts && now < last + limits.pauseMs) {
      const why = `it ended ${recent.length} times within ${limits.restartWindowMs / 1000} s; the next try is later`;
      return Promise.reject(filterWorkerEnded(this.#id, why));
    }
    log.warn('filter worker restarts', { filter: this.#id, starts: recent.length });
    return this.#start();
  }

  async #start(): Promise<FilterThread> {
    const starting = this.#startOnce();
    this.#starting = starting;
    try {
      return await starting;
    } finally {
      this.#starting = undefined;
    }
  }

  async #startOnce(): Promise<FilterThread> {
    const { clock, log, openTimeoutMs, source } = this.#options;
    this.#startedAt = [...this.#startedAt.slice(-20), clock.monotonic()];
    const { thread } = await startDeclared(this.#options, (why) => {
      if (!this.#isClosed) log.error('filter worker ended', { filter: this.#id, why });
    });
    const expired = () => filterLoadFailed(source.file, `open took over ${openTimeoutMs} ms`);
    try {
      this.opened = (await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () =>
        thread.request({ kind: 'open', rawConfig: this.#rawConfig }),
      )) as OpenedInWorker;
    } catch (error) {
      this.#isClosed ||= this.#thread === undefined;
      await thread.end(messageOf(error));
      throw error;
    }
    this.#thread = thread;
    return thread;
  }
}

/**
 * A filter of the usual contract whose hooks run in a thread of their own: a fault there (a loop, a full heap, a
 * crash) costs the calls that wait for it, and by the failure policy of the filter no more than that. It is no
 * security boundary: the thread may open files and connections as the server may.
 */
export function isolateFilter(declared: DeclaredFilter, options: IsolationOptions): Filter<unknown, unknown> {
  const { id } = declared;
  // What the filter's own schema shows is known once its thread has opened it.
  let shown: unknown;
  return {
    ...declared,
    type: 'inbound',
    isolation: 'worker',
    config: { expects: 'what the filter in its worker takes', read: (raw) => raw, show: () => shown },
    open: async (rawConfig) => {
      const isolated = new IsolatedFilter(options, id, rawConfig);
      await isolated.open();
      shown = isolated.opened?.shownConfig;
      return isolated;
    },
    close: (state) => (state as IsolatedFilter).close(),
    shouldRun: (_call, { state }) => (state as IsolatedFilter).opened?.isEnabled ?? true,
    run: (call, { state, signal }) => (state as IsolatedFilter).run(call, signal),
  };
}
