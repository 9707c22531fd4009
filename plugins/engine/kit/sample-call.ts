import type { Call, CallMetadata, Principal } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { newId } from '../../../server/core/ids.ts';
import type { Filter } from '../filter.ts';
import type { SelfTestCall } from './self-test-case.ts';

type Value = string | Uint8Array;

/** Metadata that lives in memory only. */
export function createMetadata(entries: Iterable<readonly [string, readonly Value[]]> = []): CallMetadata {
  const values = new Map<string, readonly Value[]>(entries);
  const firstOf = (key: string) => values.get(key)?.[0];
  return {
    get: (key) => {
      const value = firstOf(key);
      return typeof value === 'string' ? value : undefined;
    },
    getBinary: (key) => {
      const value = firstOf(key);
      return value instanceof Uint8Array ? value : undefined;
    },
    getAll: (key) => values.get(key) ?? [],
    set: (key, value) => void values.set(key, [value]),
    append: (key, value) => void values.set(key, [...(values.get(key) ?? []), value]),
    delete: (key) => void values.delete(key),
    keys: () => [...values.keys()],
  };
}

function principalOf(given: SelfTestCall['principal']): Principal | undefined {
  return given && { id: given.id, scopes: new Set(given.scopes), method: given.method ?? 'none' };
}

/**
 * A call that no caller made, for self-tests and other trials without a connection; its method has the messages that
 * the filter is for.
 */
export function createSampleCall(
  init: SelfTestCall,
  clock: Clock,
  messages?: Filter<unknown, unknown>['messages'],
): Call {
  const path = init.path ?? '/selftest.Service/Method';
  const [, service = '', method = ''] = /^\/(.*)\/([^/]*)$/.exec(path) ?? [];
  const metadata = Object.entries(init.metadata ?? {}).map(([key, value]) => [key.toLowerCase(), [value]] as const);
  return {
    id: newId(clock.now()),
    ...{ path, service, method, kind: init.kind ?? 'unary', known: init.known ?? true, idempotency: 'unknown' },
    requestType: messages?.request?.typeName,
    responseType: messages?.response?.typeName,
    requestMetadata: createMetadata(metadata),
    responseHeaders: createMetadata(),
    responseTrailers: createMetadata(),
    peer: init.peer ?? '127.0.0.1:1',
    deadline: init.deadlineMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + init.deadlineMs,
    signal: new AbortController().signal,
    startedAt: clock.monotonic(),
    principal: principalOf(init.principal),
    attributes: new Map(),
  };
}
