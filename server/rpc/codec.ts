import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { answerInvalid, requestMalformed, responseMalformed, responseTooLarge } from './errors.ts';
import { checkJsonFields } from './json-fields.ts';

/** Serialiser for a transport whose messages are bytes already: the one protobuf pass happens in this folder. */
export const passBytes = (bytes: Buffer): Buffer => bytes;

/** Throws REQUEST_MALFORMED, or INVALID_FIELDS for JSON that is none. */
export function decodeRequest(desc: DescMessage, bytes: Uint8Array): unknown {
  let message: Message;
  try {
    message = fromBinary(desc, bytes);
  } catch (cause) {
    throw requestMalformed(desc.typeName, cause);
  }
  checkJsonFields(desc, message);
  return message;
}

/** Throws RESPONSE_MALFORMED. */
export function decodeResponse(desc: DescMessage, bytes: Uint8Array): unknown {
  try {
    return fromBinary(desc, bytes);
  } catch (cause) {
    throw responseMalformed(desc.typeName, cause);
  }
}

/**
 * Encodes a response: a message, an init that makes one, or bytes that are encoded already; an unknown method has no
 * `desc` and takes bytes only. Throws RESPONSE_TOO_LARGE or ANSWER_INVALID.
 */
export function encodeResponse(desc: DescMessage | undefined, response: unknown, maxBytes: number): Buffer {
  const bytes = response instanceof Uint8Array ? response : encodeMessage(desc, response);
  if (bytes.byteLength > maxBytes) throw responseTooLarge(desc?.typeName ?? 'message', bytes.byteLength, maxBytes);
  return viewOf(bytes);
}

function encodeMessage(desc: DescMessage | undefined, response: unknown): Uint8Array {
  if (desc === undefined) throw answerInvalid('an unknown method', 'must hold encoded messages');
  return toBinary(desc, toMessage(desc, response));
}

/** A message stays as it is, an init becomes one, nothing becomes the empty message. */
export function toMessage(desc: DescMessage, init: unknown): Message {
  return create(desc, (init ?? {}) as Record<string, unknown>);
}

/** The same bytes as a Buffer, without a copy. */
export function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
