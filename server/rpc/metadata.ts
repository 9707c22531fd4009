import { Metadata } from '@grpc/grpc-js';
import type { CallMetadata } from '../core/call.ts';
import { messageOf } from '../core/errors.ts';
import { invalidMetadata } from './errors.ts';
import { fieldsOf } from './grpc-internals.ts';

/** CallMetadata over transport metadata; both sides see each other's changes. */
export class WireMetadata implements CallMetadata {
  readonly wire: Metadata;

  constructor(wire: Metadata = new Metadata()) {
    this.wire = wire;
  }

  get(key: string): string | undefined {
    const value = this.wire.get(key)[0];
    return typeof value === 'string' ? value : undefined;
  }

  getBinary(key: string): Uint8Array | undefined {
    const value = this.wire.get(key)[0];
    return typeof value === 'string' ? undefined : value;
  }

  getAll(key: string): readonly (string | Uint8Array)[] {
    return this.wire.get(key);
  }

  /** Throws METADATA_INVALID for a key or value that HTTP/2 cannot carry. */
  set(key: string, value: string | Uint8Array): void {
    this.#write('set', key, value);
  }

  /** Throws METADATA_INVALID for a key or value that HTTP/2 cannot carry. */
  append(key: string, value: string | Uint8Array): void {
    this.#write('add', key, value);
  }

  #write(how: 'set' | 'add', key: string, value: string | Uint8Array): void {
    try {
      this.wire[how](key, typeof value === 'string' ? value : Buffer.from(value));
    } catch (cause) {
      throw invalidMetadata(key, messageOf(cause), cause);
    }
  }

  delete(key: string): void {
    this.wire.remove(key);
  }

  keys(): string[] {
    return Object.keys(this.wire.toJSON());
  }
}

/** Metadata size as HTTP/2 counts it: name, value and 32 bytes for each field (RFC 9113 §6.5.2). */
export function metadataBytes(metadata: Metadata): number {
  let bytes = 0;
  for (const [key, values] of fieldsOf(metadata)) {
    for (const value of values) bytes += key.length + value.length + 32;
  }
  return bytes;
}
