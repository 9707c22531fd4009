import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';

/** A message from the kernel, signature verified. */
export interface WireMessage {
  readonly type: string;
  readonly id: string;
  /** msg_id of the request it belongs to; undefined when the kernel names none. */
  readonly parentId: string | undefined;
  /** When it was sent, as the kernel dates it; empty when it does not. */
  readonly date: string;
  readonly content: JsonObject;
  readonly metadata: JsonObject;
  /** Raw frames behind the signed ones, e.g. arrays of a widget; absent when there are none. */
  readonly buffers?: readonly Buffer[];
}

/** Makes and reads signed message frames. */
export interface WireCodec {
  encode(type: string, content: JsonObject): { readonly id: string; readonly frames: readonly (string | Buffer)[] };
  /** Undefined for frames that are malformed or carry a wrong signature; those are counted. */
  decode(frames: readonly Buffer[]): WireMessage | undefined;
  /** Messages refused so far. */
  rejected(): number;
}

const delimiter = Buffer.from('<IDS|MSG>');

/**
 * The Jupyter wire protocol 5.3: HMAC-SHA256 over exactly the bytes of the four JSON frames as sent.
 * Message ids are unique for ever, since some kernels run a replayed frame again.
 * Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */
export function createWireCodec(key: string, session: string, now: () => number): WireCodec {
  let rejectedCount = 0;
  const sign = (parts: readonly Buffer[]) => {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return Buffer.from(hmac.digest('hex'));
  };
  const reject = () => {
    rejectedCount++;
    return undefined;
  };
  return {
    encode: (type, content) => {
      const id = randomUUID();
      const date = new Date(now()).toISOString();
      const header = { msg_id: id, session, username: 'showrunner', date, msg_type: type, version: '5.3' };
      const parts = [header, {}, {}, content].map((part) => Buffer.from(JSON.stringify(part)));
      return { id, frames: [delimiter, sign(parts), ...parts] };
    },
    decode: (frames) => {
      const start = frames.findIndex((frame) => frame.equals(delimiter));
      const signature = frames[start + 1];
      const parts = frames.slice(start + 2, start + 6);
      if (start < 0 || signature === undefined || parts.length < 4) return reject();
      const expected = sign(parts);
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return reject();
      const message = toMessage(parts) ?? reject();
      const buffers = frames.slice(start + 6);
      return message === undefined || buffers.length === 0 ? message : { ...message, buffers };
    },
    rejected: () => rejectedCount,
  };
}

function toMessage(parts: readonly Buffer[]): WireMessage | undefined {
  let values: unknown[];
  try {
    values = parts.map((part): unknown => JSON.parse(part.toString('utf8')));
  } catch {
    return undefined;
  }
  const [header, parent, metadata, content] = values;
  if (!isJsonObject(header) || typeof header['msg_type'] !== 'string') return undefined;
  const parentId = isJsonObject(parent) ? parent['msg_id'] : undefined;
  return {
    type: header['msg_type'],
    id: typeof header['msg_id'] === 'string' ? header['msg_id'] : '',
    parentId: typeof parentId === 'string' ? parentId : undefined,
    date: typeof header['date'] === 'string' ? header['date'] : '',
    content: isJsonObject(content) ? content : {},
    metadata: isJsonObject(metadata) ? metadata : {},
  };
}
