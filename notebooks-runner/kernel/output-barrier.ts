import { randomUUID } from 'node:crypto';
import { createNonceFilter, type NonceFilter } from './nonce-filter.ts';
import type { WireMessage } from './wire-codec.ts';

interface OutputBarrierOptions {
  /** Runs code silently; resolves when it ended, also when the kernel died. */
  execute(code: string): Promise<unknown>;
  /** True when the work settled before the kernel fell silent or died. */
  settles(work: Promise<unknown>): Promise<boolean>;
  /** Where filtered messages go. */
  deliver(message: WireMessage): void;
}

/** Proof that all printed output has arrived, for kernels that publish it after the reply. */
export interface OutputBarrier {
  /** Binds what the barrier prints with, and what shows errors that nobody catches; call before any cell runs. */
  setUp(): Promise<void>;
  /** Takes a stream message and passes on what is not the barrier's own sign. */
  pass(message: WireMessage): void;
  /** Resolves true when everything printed before the call has been delivered, false when the sign never came. */
  wait(): Promise<boolean>;
}

// Bound before any cell runs, so that a notebook which replaces console.log cannot break the barrier.
const key = 'globalThis[Symbol.for("showrunner.barrier")]';
const setup =
  'Object.defineProperty(globalThis, Symbol.for("showrunner.barrier"), { value: ((log, error) => ' +
  '(text) => { log(text); error(text); })(console.log.bind(console), console.error.bind(console)) }); 0;';
// What a timer or a promise throws while nobody waits for it is not reported by the kernel; worse, after an error in a
// timer it never answers the cell that is waiting.
const report =
  '((error) => { for (const type of ["error", "unhandledrejection"]) globalThis.addEventListener(type, (event) => { ' +
  'event.preventDefault(); error("Uncaught", event.reason ?? event.error); }); })(console.error.bind(console)); 0;';

/**
 * The Deno kernel queues what a notebook prints and publishes it when it comes to it: of 20,000 lines about 2,000 had
 * come when the cell was reported idle, the rest under the next request. So after each cell a nonce is printed on
 * both streams: whatever comes before it belongs to the cell.
 */
export function createOutputBarrier({ execute, settles, deliver }: OutputBarrierOptions): OutputBarrier {
  let filters: ReadonlyMap<string, NonceFilter> | undefined;
  let onSign: (stream: string) => void = () => {};
  let isSetUp = false;

  async function setUp(): Promise<void> {
    if (!isSetUp) await execute(`${setup} ${report}`);
    isSetUp = true;
  }

  /** Text that looked like the beginning of the nonce but was none still belongs to the cell. */
  function releaseHeld(): void {
    for (const [name, filter] of filters ?? []) {
      const text = filter.rest();
      if (text !== '')
        deliver({ type: 'stream', id: '', parentId: undefined, date: '', content: { name, text }, metadata: {} });
    }
    filters = undefined;
  }

  return {
    setUp,
    pass: (message) => {
      const { name, text } = message.content as Readonly<Record<string, unknown>>;
      const filter = typeof name === 'string' ? filters?.get(name) : undefined;
      if (filter === undefined || typeof name !== 'string' || typeof text !== 'string') {
        deliver(message);
        return;
      }
      const { text: passed, isFound } = filter.push(text);
      if (passed !== '') deliver({ ...message, content: { name, text: passed } });
      if (isFound) onSign(name);
    },
    wait: async () => {
      await setUp();
      const nonce = `showrunner-barrier-${randomUUID()}`;
      const signs = new Map(['stdout', 'stderr'].map((name) => [name, Promise.withResolvers<void>()]));
      filters = new Map([...signs.keys()].map((name) => [name, createNonceFilter(nonce)]));
      onSign = (name) => signs.get(name)?.resolve();
      await execute(`${key}(${JSON.stringify(nonce)}); 0;`);
      const isComplete = await settles(Promise.all([...signs.values()].map((sign) => sign.promise)));
      releaseHeld();
      return isComplete;
    },
  };
}
