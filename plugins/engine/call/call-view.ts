import type { Call, CallKind, CallMetadata, Idempotency, Principal } from '../../../server/core/call.ts';
import type { CallAttributes } from '../../../server/core/call-attributes.ts';

type Value = string | Uint8Array;

/** Metadata read through to another's; what is written stays here. */
class MetadataView implements CallMetadata {
  readonly #base: CallMetadata;
  /** Values written here; none = deleted here. */
  readonly #own = new Map<string, readonly Value[]>();

  constructor(base: CallMetadata) {
    this.#base = base;
  }
  get(key: string): string | undefined {
    const own = this.#own.get(key);
    if (own === undefined) return this.#base.get(key);
    return typeof own[0] === 'string' ? own[0] : undefined;
  }
  getBinary(key: string): Uint8Array | undefined {
    const own = this.#own.get(key);
    if (own === undefined) return this.#base.getBinary(key);
    return own[0] instanceof Uint8Array ? own[0] : undefined;
  }
  getAll(key: string): readonly Value[] {
    return this.#own.get(key) ?? this.#base.getAll(key);
  }
  set(key: string, value: Value): void {
    this.#own.set(key, [value]);
  }
  append(key: string, value: Value): void {
    this.#own.set(key, [...this.getAll(key), value]);
  }
  delete(key: string): void {
    this.#own.set(key, []);
  }
  keys(): string[] {
    const keys = new Set(this.#base.keys());
    for (const [key, values] of this.#own) {
      if (values.length === 0) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }
}

type MapBase<K, V> = Pick<ReadonlyMap<K, V>, 'get' | 'has'> & Iterable<[K, V]>;

/** A map read through to another; what is written stays here. */
class MapView<K, V> extends Map<K, V> {
  readonly #base: MapBase<K, V>;
  readonly #deleted = new Set<K>();

  constructor(base: MapBase<K, V>) {
    super();
    this.#base = base;
  }
  override get(key: K): V | undefined {
    return super.has(key) || this.#deleted.has(key) ? super.get(key) : this.#base.get(key);
  }
  override has(key: K): boolean {
    return super.has(key) || (!this.#deleted.has(key) && this.#base.has(key));
  }
  override set(key: K, value: V): this {
    this.#deleted.delete(key);
    return super.set(key, value);
  }
  override delete(key: K): boolean {
    const had = this.has(key);
    super.delete(key);
    this.#deleted.add(key);
    return had;
  }
  override clear(): void {
    for (const key of this.keys()) this.delete(key);
  }
  #merged(): Map<K, V> {
    const merged = new Map([...this.#base].filter(([key]) => !this.#deleted.has(key)));
    for (const [key, value] of super.entries()) merged.set(key, value);
    return merged;
  }
  override get size(): number {
    return this.#merged().size;
  }
  override entries(): MapIterator<[K, V]> {
    return this.#merged().entries();
  }
  override keys(): MapIterator<K> {
    return this.#merged().keys();
  }
  override values(): MapIterator<V> {
    return this.#merged().values();
  }
  override [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }
  override forEach(visit: (value: V, key: K, map: Map<K, V>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this);
  }
}

/**
 * A call as a filter on trial sees it: everything reads through, nothing that it writes reaches the call, and it
 * cannot stop it.
 */
export class CallView implements Call {
  readonly #call: Call;
  #id: string | undefined;
  #principal: { readonly value: Principal | undefined } | undefined;
  readonly requestMetadata: CallMetadata;
  readonly responseHeaders: CallMetadata;
  readonly responseTrailers: CallMetadata;
  readonly attributes: CallAttributes;

  constructor(call: Call) {
    this.#call = call;
    this.requestMetadata = new MetadataView(call.requestMetadata);
    this.responseHeaders = new MetadataView(call.responseHeaders);
    this.responseTrailers = new MetadataView(call.responseTrailers);
    this.attributes = new MapView(call.attributes);
  }

  get id(): string {
    return this.#id ?? this.#call.id;
  }
  set id(id: string) {
    this.#id = id;
  }
  get principal(): Principal | undefined {
    return this.#principal === undefined ? this.#call.principal : this.#principal.value;
  }
  set principal(value: Principal | undefined) {
    this.#principal = { value };
  }
  get path(): string {
    return this.#call.path;
  }
  get service(): string {
    return this.#call.service;
  }
  get method(): string {
    return this.#call.method;
  }
  get kind(): CallKind {
    return this.#call.kind;
  }
  get known(): boolean {
    return this.#call.known;
  }
  get requestType(): string | undefined {
    return this.#call.requestType;
  }
  get responseType(): string | undefined {
    return this.#call.responseType;
  }
  get idempotency(): Idempotency {
    return this.#call.idempotency;
  }
  get peer(): string {
    return this.#call.peer;
  }
  get deadline(): number {
    return this.#call.deadline;
  }
  get signal(): AbortSignal {
    return this.#call.signal;
  }
  get startedAt(): number {
    return this.#call.startedAt;
  }
}

/** A copy of a message that can be changed without the original: plain data, bytes and the prototypes of messages. */
export function copyMessage<T>(value: T, depth = 0): T {
  if (typeof value !== 'object' || value === null || depth > 100) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map((item) => copyMessage(item, depth + 1)) as T;
  const copy = Object.create(Object.getPrototypeOf(value)) as Record<string, unknown>;
  for (const [name, inner] of Object.entries(value)) copy[name] = copyMessage(inner, depth + 1);
  return copy as T;
}
