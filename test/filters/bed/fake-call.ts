import type { Call, CallMetadata } from '../../../server/core/call.ts';

export interface FakeCall extends Call {
  /** Cancels it. */
  abort(reason?: unknown): void;
}

function createMetadata(values: Record<string, string | Uint8Array> = {}): CallMetadata {
  const map = new Map(Object.entries(values).map(([key, value]) => [key, [value]]));
  const typed = <T>(key: string, is: (value: unknown) => value is T): T | undefined => {
    const value = map.get(key)?.[0];
    return is(value) ? value : undefined;
  };
  return {
    get: (key) => typed(key, (value): value is string => typeof value === 'string'),
    getBinary: (key) => typed(key, (value): value is Uint8Array => value instanceof Uint8Array),
    getAll: (key) => map.get(key) ?? [],
    set: (key, value) => void map.set(key, [value]),
    append: (key, value) => void map.set(key, [...(map.get(key) ?? []), value]),
    delete: (key) => void map.delete(key),
    keys: () => [...map.keys()],
  };
}

let calls = 0;

type FakeCallInit = Partial<Omit<Call, 'requestMetadata' | 'signal'>> & {
  readonly metadata?: Record<string, string | Uint8Array>;
};

/** A call as server/rpc would make it; unary `/test.Service/Get` unless said otherwise. */
export function createFakeCall({ metadata, ...init }: FakeCallInit = {}): FakeCall {
  const controller = new AbortController();
  const service = init.service ?? 'test.Service';
  const method = init.method ?? 'Get';
  return {
    id: `call-${++calls}`,
    ...{ path: `/${service}/${method}`, service, method, kind: 'unary', known: true, idempotency: 'unknown' },
    requestMetadata: createMetadata(metadata),
    responseHeaders: createMetadata(),
    responseTrailers: createMetadata(),
    ...{ peer: '127.0.0.1:50000', deadline: Number.POSITIVE_INFINITY, startedAt: 0, principal: undefined },
    attributes: new Map(),
    ...init,
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
  };
}
