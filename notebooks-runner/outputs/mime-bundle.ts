import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import { isJsonMime, type MimeBundle } from '../nbformat/notebook.ts';

const maxDepth = 90;

/** Makes valid nbformat content of whatever a kernel sent: text MIME types get strings, JSON ones keep their value. */
export function toMimeBundle(data: unknown): MimeBundle {
  const bundle: Record<string, JsonValue> = {};
  for (const [mime, value] of Object.entries(isJsonObject(data) ? data : {})) {
    if (isDeeperThan(value, maxDepth)) bundle[mime] = '[value nested too deeply to be kept]';
    else if (isJsonMime(mime) || typeof value === 'string') bundle[mime] = value;
    else if (Array.isArray(value) && value.every((line) => typeof line === 'string')) bundle[mime] = value.join('');
    else bundle[mime] = JSON.stringify(value);
  }
  return bundle;
}

/** Display metadata of a kernel message; anything but a reasonable object becomes empty. */
export function toDisplayMetadata(metadata: unknown): JsonObject {
  return isJsonObject(metadata) && !isDeeperThan(metadata, maxDepth) ? metadata : {};
}

/** Bytes that content takes in a document, about. */
export function sizeOfContent(data: MimeBundle, metadata: JsonObject): number {
  let bytes = Object.keys(metadata).length === 0 ? 0 : Buffer.byteLength(JSON.stringify(metadata));
  for (const [mime, value] of Object.entries(data)) {
    bytes += mime.length + Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value));
  }
  return bytes;
}
