import { fileDamaged } from '../errors.ts';
import type { Json } from './json.ts';

/**
 * File of typed arrays that are mapped, not parsed. All numbers little-endian.
 *
 *     0   8 bytes   "SHOWRNK1"
 *     8   u32       length of the header in bytes
 *    12   u32       0
 *    16   header    JSON: { kind, version, meta, sections: [{ name, type, offset, length }] }
 *    ...  sections  each at a multiple of 64 from the end of the header, itself padded to a multiple of 64
 *
 * `offset` counts from the padded end of the header, `length` counts elements. Type `json` is UTF-8 JSON text
 * (length in bytes). The same content gives the same bytes.
 */
export interface SectionedFile {
  readonly meta: { readonly [key: string]: Json };
  u32(name: string): Uint32Array;
  f32(name: string): Float32Array;
  f64(name: string): Float64Array;
  /** Parsed; the reader checks its shape. */
  json(name: string): unknown;
}

/** What a file is made of: typed arrays, and JSON values (strings, arrays, objects). */
export type SectionContent = Uint32Array | Float32Array | Float64Array | { readonly json: Json };

const magic = 'SHOWRNK1';
const fixedBytes = 16;
const grain = 64;
const formatVersion = 1;
const types = { u32: Uint32Array, f32: Float32Array, f64: Float64Array, json: Uint8Array } as const;
type SectionType = keyof typeof types;

interface SectionEntry {
  readonly name: string;
  readonly type: SectionType;
  readonly offset: number;
  readonly length: number;
}

/** Builds the file. `kind` names the content, e.g. `showrunner.ranker`. */
export function writeSectionedFile(
  kind: string,
  meta: { readonly [key: string]: Json },
  content: Readonly<Record<string, SectionContent>>,
): Uint8Array {
  const sections: SectionEntry[] = [];
  const bodies: Uint8Array[] = [];
  let offset = 0;
  for (const [name, value] of Object.entries(content)) {
    const type = typeOf(value);
    const body = 'json' in value ? Buffer.from(JSON.stringify(value.json)) : bytesOf(value);
    sections.push({ name, type, offset, length: body.length / types[type].BYTES_PER_ELEMENT });
    bodies.push(body);
    offset = padded(offset + body.length);
  }
  const header = Buffer.from(JSON.stringify({ kind, version: formatVersion, meta, sections }));
  const start = padded(fixedBytes + header.length);
  const file = Buffer.alloc(start + offset);
  file.write(magic, 0, 'latin1');
  file.writeUInt32LE(header.length, 8);
  header.copy(file, fixedBytes);
  for (const [at, body] of bodies.entries()) file.set(body, start + (sections[at]?.offset ?? 0));
  return file;
}

/** Opens a file of this kind; RANKING_FILE_DAMAGED when it is not one. `name` is for the message. */
export function readSectionedFile(bytes: Uint8Array, kind: string, name: string): SectionedFile {
  // Typed arrays need aligned offsets, which a pooled buffer does not give.
  const file = bytes.byteOffset % grain === 0 ? bytes : new Uint8Array(bytes);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < fixedBytes || Buffer.from(file.subarray(0, 8)).toString('latin1') !== magic) {
    throw fileDamaged(name, `does not begin with ${magic}`);
  }
  const headerEnd = fixedBytes + view.getUint32(8, true);
  if (headerEnd > file.length) throw fileDamaged(name, 'ends within its header');
  const header = parseHeader(file.subarray(fixedBytes, headerEnd), name);
  if (header.kind !== kind) throw fileDamaged(name, `holds "${header.kind}", expected "${kind}"`);
  const start = padded(headerEnd);
  const sections = new Map(header.sections.map((section) => [section.name, section]));

  const bounds = (wanted: string, type: SectionType): { at: number; length: number } => {
    const section = sections.get(wanted);
    if (section?.type !== type) throw fileDamaged(name, `has no ${type} section "${wanted}"`);
    const end = start + section.offset + section.length * types[type].BYTES_PER_ELEMENT;
    if (!(section.offset >= 0 && section.length >= 0 && section.offset % grain === 0 && end <= file.length)) {
      throw fileDamaged(name, `section "${wanted}" lies outside the file`);
    }
    return { at: file.byteOffset + start + section.offset, length: section.length };
  };
  const open = <T>(make: new (buffer: ArrayBufferLike, at: number, length: number) => T, type: SectionType) => {
    return (wanted: string): T => {
      const { at, length } = bounds(wanted, type);
      return new make(file.buffer, at, length);
    };
  };
  const text = open(Uint8Array, 'json');
  return {
    meta: header.meta,
    u32: open(Uint32Array, 'u32'),
    f32: open(Float32Array, 'f32'),
    f64: open(Float64Array, 'f64'),
    json: (wanted) => parseJson(text(wanted), name, `section "${wanted}"`),
  };
}

function typeOf(value: SectionContent): SectionType {
  if (value instanceof Uint32Array) return 'u32';
  if (value instanceof Float32Array) return 'f32';
  return value instanceof Float64Array ? 'f64' : 'json';
}

function bytesOf(array: Uint32Array | Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function padded(length: number): number {
  return Math.ceil(length / grain) * grain;
}

function parseJson(bytes: Uint8Array, name: string, part: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (cause) {
    throw fileDamaged(name, `${part} is not JSON`, cause);
  }
}

function parseHeader(bytes: Uint8Array, name: string) {
  const header = parseJson(bytes, name, 'the header') as {
    kind?: unknown;
    version?: unknown;
    meta?: unknown;
    sections?: unknown;
  } | null;
  if (header?.version !== formatVersion) {
    throw fileDamaged(name, `has format version ${String(header?.version)}, expected ${formatVersion}`);
  }
  if (typeof header.kind !== 'string' || typeof header.meta !== 'object' || !Array.isArray(header.sections)) {
    throw fileDamaged(name, 'has a header without kind, meta or sections');
  }
  return {
    kind: header.kind,
    meta: (header.meta ?? {}) as { readonly [key: string]: Json },
    sections: header.sections as readonly SectionEntry[],
  };
}
