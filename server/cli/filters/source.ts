import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { readFolder } from '../../../plugins/engine/load/read-folders.ts';
import { invalidField, messageOf } from '../../core/errors.ts';

/** What StageFilters takes of one filter. */
export interface SourceInit {
  readonly id: string;
  readonly source: string;
  readonly signature?: Uint8Array;
  readonly config?: JsonObject;
}

function idOf(source: string, path: string): string {
  const id = /\bid:\s*(['"])([a-z0-9.-]+)\1/.exec(source)?.[2];
  if (id === undefined) throw invalidField('FILTER', `${path} has no line "id: 'namespace.name'"`);
  return id;
}

/** Reads a filter file, or the one of a folder; signs it with the ed25519 private key of a PEM file, if given. */
export async function readSource(path: string, keyFile: string | undefined): Promise<SourceInit> {
  try {
    const file = statSync(path).isDirectory() ? (await readFolder(path)).file : path;
    const source = readFileSync(file, 'utf8');
    const id = idOf(source, file);
    if (keyFile === undefined) return { id, source };
    return { id, source, signature: sign(null, Buffer.from(source), createPrivateKey(readFileSync(keyFile))) };
  } catch (error) {
    throw invalidField('FILTER', messageOf(error));
  }
}

/** A configuration: JSON, or `@file` that holds it. */
export function readConfigJson(text: string): JsonObject {
  try {
    const value = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text) as JsonValue;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('expected a JSON object');
    return value;
  } catch (error) {
    throw invalidField('CONFIG', messageOf(error));
  }
}
