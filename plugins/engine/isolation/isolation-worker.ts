/** Entry of the worker thread of one filter: imports it, opens it, runs it on calls that are described to it. */
import { parentPort } from 'node:worker_threads';
import type { Call, CallMetadata, Principal } from '../../../server/core/call.ts';
import { systemClock } from '../../../server/core/clock.ts';
import { AppError } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import { systemRandom } from '../../../server/core/random.ts';
import { noOrigins } from '../contract/capabilities.ts';
import type { Filter, InboundFilter } from '../filter.ts';
import { createMetadata } from '../kit/sample-call.ts';
import { checkFilter } from '../load/check-filter.ts';
import { importFilter } from '../load/import-filter.ts';
import { type LoadedFilter, openFilter } from '../load/loaded-filter.ts';
import {
  type CallChanges,
  declarationOf,
  type FromWorker,
  type MetadataName,
  metadataNames,
  type OpenedInWorker,
  type PlainCall,
  type PlainResult,
  type ToWorker,
  toPlainError,
  type WorkerRequest,
} from './isolation-protocol.ts';

const post = (message: FromWorker) => parentPort?.postMessage(message);

function createLog(bound: object): Logger {
  const at =
    (log: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: object = {}) => {
      const plain = Object.entries({ ...bound, ...fields }).map(([key, value]) => [
        key,
        value instanceof Error ? (value.stack ?? value.message) : value,
      ]);
      post({ log, message, fields: Object.fromEntries(plain) });
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => createLog({ ...bound, ...fields }),
  };
}

/** Metadata that notes which keys were written. */
function tracked(metadata: CallMetadata, written: Set<string>): CallMetadata {
  return {
    ...metadata,
    set: (key, value) => {
      written.add(key);
      metadata.set(key, value);
    },
    append: (key, value) => {
      written.add(key);
      metadata.append(key, value);
    },
    delete: (key) => {
      written.add(key);
      metadata.delete(key);
    },
  };
}

/** The call as the filter sees it, and what it changes on it. */
class WorkerCall {
  readonly call: Call;
  readonly #plain: PlainCall;
  readonly #written = new Map<MetadataName, Set<string>>();
  #principal: { readonly value: Principal | undefined } | undefined;

  constructor(plain: PlainCall, signal: AbortSignal) {
    this.#plain = plain;
    const metadata = metadataNames.map((name) => {
      const written = new Set<string>();
      this.#written.set(name, written);
      return [name, tracked(createMetadata(plain[name]), written)] as const;
    });
    const note = (value: Principal | undefined) => {
      this.#principal = { value };
    };
    let principal = plain.principal;
    this.call = {
      ...plain,
      ...(Object.fromEntries(metadata) as Record<MetadataName, CallMetadata>),
      startedAt: systemClock.monotonic(),
      attributes: new Map(),
      signal,
      get principal() {
        return principal;
      },
      set principal(value) {
        principal = value;
        note(value);
      },
    };
  }

  changes(): CallChanges {
    const { call } = this;
    const metadata = [...this.#written].flatMap(([name, keys]) =>
      [...keys].map((key) => [name, key, call[name].getAll(key)] as const),
    );
    return {
      metadata,
      ...(call.id === this.#plain.id ? {} : { id: call.id }),
      ...(this.#principal === undefined ? {} : { principal: this.#principal }),
    };
  }
}

let definition: Filter<unknown, unknown> | undefined;
let opened: LoadedFilter | undefined;
const running = new Map<number, AbortController>();

function noKeys(): never {
  throw new Error('a filter in a worker has no context keys');
}

async function run(id: number, plain: PlainCall): Promise<PlainResult> {
  const filter = opened;
  if (filter === undefined || definition === undefined) throw new Error('the filter is not open');
  const controller = new AbortController();
  running.set(id, controller);
  const worked = new WorkerCall(plain, controller.signal);
  const { call } = worked;
  const { config, state, log, clock, random, origins } = filter;
  try {
    if (filter.shouldRun?.(call) === false) return { changes: worked.changes(), answer: undefined, error: undefined };
    const nowMs = clock.monotonic();
    const keys = { read: noKeys, write: noKeys };
    const context = { config, state, log, clock, random, origins, nowMs, signal: controller.signal, ...keys };
    const result = await (definition as InboundFilter<unknown, unknown>).run?.(call, context);
    if (result !== undefined && !('messages' in result)) throw new TypeError('a worker cannot answer with a stream');
    return { changes: worked.changes(), answer: result?.messages, error: undefined };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { changes: worked.changes(), answer: undefined, error: toPlainError(error) };
  } finally {
    running.delete(id);
  }
}

async function handle(id: number, request: WorkerRequest): Promise<unknown> {
  switch (request.kind) {
    case 'declare': {
      const { source, isIsolated } = request;
      const module = await importFilter(source);
      definition = checkFilter(module.filter, source.file, isIsolated ? 'worker' : undefined);
      return declarationOf(definition, isIsolated ? 'worker' : (definition.isolation ?? 'none'));
    }
    case 'open': {
      if (definition === undefined) throw new Error('the filter is not imported');
      opened = await openFilter({
        ...{ definition, file: '', hash: '', rawConfig: request.rawConfig, log: createLog({}) },
        ...{ clock: systemClock, random: systemRandom, capabilities: { origins: noOrigins }, openTimeoutMs: 600_000 },
      });
      return { shownConfig: opened.shownConfig, isEnabled: opened.isEnabled } satisfies OpenedInWorker;
    }
    case 'run':
      return run(id, request.call);
    case 'ping':
      return undefined;
    case 'close':
      await opened?.close();
      return undefined;
  }
}

parentPort?.on('message', (message: ToWorker) => {
  if ('cancel' in message) {
    running.get(message.cancel)?.abort(new Error(message.reason));
    return;
  }
  const { id, request } = message;
  const settled = handle(id, request).then(
    (value) => post({ id, value }),
    (error: unknown) => post({ id, error: toPlainError(error) }),
  );
  // A value that cannot be cloned is the filter's fault, too.
  settled.catch((error: unknown) => post({ id, error: toPlainError(error) }));
});
