import type { Call } from '../../../server/core/call.ts';

/** A typed place in `call.attributes` that only holders of the key can reach. */
export interface ContextKey<T> {
  readonly name: string;
  get(call: Call): T | undefined;
  set(call: Call, value: T): void;
  delete(call: Call): void;
}

/** A new key, distinct from every other also when the name is the same. */
export function contextKey<T>(name: string): ContextKey<T> {
  const symbol = Symbol(name);
  return {
    name,
    get: (call) => call.attributes.get(symbol) as T | undefined,
    set: (call, value) => void call.attributes.set(symbol, value),
    delete: (call) => void call.attributes.delete(symbol),
  };
}
