import { encodeSetMalformed } from './errors.ts';

/** What a file holds. */
export type FileKind = 'video' | 'audio' | 'text' | 'manifest' | 'image';

const fileKinds: readonly string[] = ['video', 'audio', 'text', 'manifest', 'image'] satisfies FileKind[];

/** One file of an encode set: a track of many segments, or a single object. */
export interface EncodeSetFile {
  /** Unique in the set, e.g. `video-720p`. */
  readonly id: string;
  readonly kind: FileKind;
  readonly profile: string;
  /** RFC 6381; empty when it has none. */
  readonly codec: string;
  /** Measured mean; 0 when it has none. */
  readonly bitrateBps: number;
  /** BCP 47; empty when it has none. */
  readonly language: string;
  readonly width: number;
  readonly height: number;
  readonly totalBytes: number;
  readonly sha256: string;
  /** Key prefix of a track's objects, ending in `/`, or the key of a single object. */
  readonly objectKey: string;
  readonly segmentCount: number;
}

/** One stored object of a set. */
export interface EncodeSetObject {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * The commit record of a title version as the transcode job writes it, last, to `titles/{title}/{version}/encode-set.json`:
 * whoever finds it finds every object of it.
 */
export interface EncodeSetRecord {
  /** `titles/{title}`. */
  readonly title: string;
  /** `v` and hex digits. */
  readonly version: string;
  readonly frameCount: number;
  /** e.g. `25/1`. */
  readonly frameRate: string;
  readonly durationSeconds: number;
  readonly hlsObjectKey: string;
  readonly dashObjectKey: string;
  readonly files: readonly EncodeSetFile[];
  /** Every object but this record. */
  readonly objects: readonly EncodeSetObject[];
}

/** What a Duration of the contract can hold. */
const maxDurationSeconds = 315_576_000_000;

type Fields = Readonly<Record<string, unknown>>;

/** Reads a commit record. ENCODESET_MALFORMED names the first faulty member. Unknown members are ignored. */
export function parseEncodeSetRecord(objectKey: string, bytes: Uint8Array): EncodeSetRecord {
  const fail = (why: string): never => {
    throw encodeSetMalformed(objectKey, why);
  };
  const read = createReaders(fail);
  const root = read.object('record', parseJson(bytes, fail));
  if (root['format'] !== 1) fail('format must be 1');
  return {
    title: read.text('title', root['title']),
    version: read.matching('version', root['version'], /^[a-z0-9-]{1,63}$/),
    frameCount: read.count('frameCount', root['frameCount']),
    frameRate: read.matching('frameRate', root['frameRate'], /^[1-9]\d*\/[1-9]\d*$/),
    durationSeconds: read.number('durationSeconds', root['durationSeconds'], maxDurationSeconds),
    hlsObjectKey: read.text('hlsObjectKey', root['hlsObjectKey']),
    dashObjectKey: read.text('dashObjectKey', root['dashObjectKey']),
    files: read.list('files', root['files'], (at, value) => readFile(at, read.object(at, value), read, fail)),
    objects: read.list('objects', root['objects'], (at, value) => readObject(at, read.object(at, value), read)),
  };
}

function readFile(at: string, file: Fields, read: Readers, fail: (why: string) => never): EncodeSetFile {
  const kind = read.text(`${at}.kind`, file['kind']);
  if (!fileKinds.includes(kind)) fail(`${at}.kind must be one of ${fileKinds.join(', ')}`);
  return {
    id: read.matching(`${at}.id`, file['id'], /^[A-Za-z0-9._-]{1,128}$/),
    kind: kind as FileKind,
    profile: read.text(`${at}.profile`, file['profile']),
    codec: read.optionalText(`${at}.codec`, file['codec']),
    bitrateBps: read.count(`${at}.bitrateBps`, file['bitrateBps'] ?? 0),
    language: read.optionalText(`${at}.language`, file['language']),
    width: read.count(`${at}.width`, file['width'] ?? 0),
    height: read.count(`${at}.height`, file['height'] ?? 0),
    totalBytes: read.count(`${at}.totalBytes`, file['totalBytes']),
    sha256: read.matching(`${at}.sha256`, file['sha256'], /^[0-9a-f]{64}$/),
    objectKey: read.text(`${at}.objectKey`, file['objectKey']),
    segmentCount: read.count(`${at}.segmentCount`, file['segmentCount'] ?? 0),
  };
}

function readObject(at: string, object: Fields, read: Readers): EncodeSetObject {
  return {
    key: read.text(`${at}.key`, object['key']),
    bytes: read.count(`${at}.bytes`, object['bytes']),
    sha256: read.matching(`${at}.sha256`, object['sha256'], /^[0-9a-f]{64}$/),
  };
}

function parseJson(bytes: Uint8Array, fail: (why: string) => never): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return fail('it is not JSON');
  }
}

type Readers = ReturnType<typeof createReaders>;

function createReaders(fail: (why: string) => never) {
  const text = (at: string, value: unknown): string =>
    typeof value === 'string' && value !== '' ? value : fail(`${at} must be a text`);
  const number = (at: string, value: unknown, most = Number.MAX_VALUE): number =>
    typeof value === 'number' && value >= 0 && value <= most ? value : fail(`${at} must be a number from 0 to ${most}`);
  return {
    text,
    number,
    optionalText: (at: string, value: unknown): string => (value === undefined || value === '' ? '' : text(at, value)),
    matching: (at: string, value: unknown, form: RegExp): string => {
      const given = text(at, value);
      return form.test(given) ? given : fail(`${at} must match ${form.source}`);
    },
    count: (at: string, value: unknown): number =>
      Number.isSafeInteger(value) ? number(at, value) : fail(`${at} must be a whole number from 0`),
    object: (at: string, value: unknown): Fields =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Fields)
        : fail(`${at} must be an object`),
    list: <T>(at: string, value: unknown, item: (at: string, value: unknown) => T): T[] =>
      Array.isArray(value) && value.length > 0
        ? value.map((each: unknown, index) => item(`${at}[${index}]`, each))
        : fail(`${at} must be a list with entries`),
  };
}
