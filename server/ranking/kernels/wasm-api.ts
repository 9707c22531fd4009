/** A shared WebAssembly memory: its buffer is a SharedArrayBuffer of fixed size. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}

interface WasmApi {
  Memory: new (limits: { initial: number; maximum: number; shared: true }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: { env: { memory: WasmMemory } }) => { readonly exports: unknown };
}

/** The part of the global WebAssembly object that is used here: Node's types do not declare it. */
export const wasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
