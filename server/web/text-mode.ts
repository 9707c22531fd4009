import { textMalformed } from './errors.ts';

const quantum = 4;

/** Text of `bytes`, padded: an answer in text mode is a row of such texts. */
export function toText(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('base64'), 'latin1');
}

/**
 * Takes the base64 of a request body as it comes and gives its bytes. Padding may stand anywhere between two texts: each
 * flush of a sender may end with it. Source: PROTOCOL-WEB.md of grpc/grpc, "Text-encoded streams".
 */
export class Base64Decoder {
  #rest = '';

  /** Throws TEXT_MALFORMED. */
  push(chunk: Buffer): Buffer {
    const text = this.#rest + chunk.toString('latin1');
    const whole = text.length - (text.length % quantum);
    this.#rest = text.slice(whole);
    return decode(text.slice(0, whole));
  }

  /** The body has ended. Throws TEXT_MALFORMED. */
  end(): void {
    if (this.#rest !== '') throw textMalformed();
  }
}

function decode(text: string): Buffer {
  if (/[^A-Za-z0-9+/=]/.test(text)) throw textMalformed();
  if (!text.includes('=')) return Buffer.from(text, 'base64');
  const pieces = text.match(/[^=]+={0,2}/g) ?? [];
  const isWhole = pieces.join('').length === text.length && pieces.every((piece) => piece.length % quantum === 0);
  if (!isWhole) throw textMalformed();
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')));
}
