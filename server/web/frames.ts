import { frameMalformed, frameTruncated, messageCompressed, requestTooLarge } from './errors.ts';

const headBytes = 5;
const compressedFlag = 0x01;
const trailersFlag = 0x80;
/** A message that comes in parts gets room for this much at first: what its head claims may never come. */
const firstRoomBytes = 65_536;

/** A message as gRPC and gRPC-web frame it: a byte of flags, its length in four bytes, its bytes. */
export function messageFrame(message: Uint8Array): Buffer {
  return frame(0, message);
}

/** The last frame of an answer: lower-case header lines. Source: PROTOCOL-WEB.md of grpc/grpc, "Message framing". */
export function trailersFrame(lines: string): Buffer {
  return frame(trailersFlag, Buffer.from(lines, 'latin1'));
}

function frame(flags: number, content: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(headBytes + content.length);
  framed[0] = flags;
  framed.writeUInt32BE(content.length, 1);
  framed.set(content, headBytes);
  return framed;
}

/** Takes the bytes of a request body as they come and gives its messages. Holds one message at the most. */
export class FrameReader {
  readonly #maxMessageBytes: number;
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  #length = 0;
  #message: Buffer = Buffer.alloc(0);
  #filled = 0;

  /** `maxMessageBytes` is the largest message that is taken. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** The messages that `chunk` completes. Throws MESSAGE_COMPRESSED, FRAME_MALFORMED or REQUEST_TOO_LARGE. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      at += this.#headFilled < headBytes ? this.#takeHead(chunk, at) : this.#takeContent(chunk, at);
      if (this.#headFilled < headBytes || this.#filled < this.#length) continue;
      messages.push(this.#message.subarray(0, this.#length));
      this.#headFilled = 0;
    }
    return messages;
  }

  /** The body has ended. Throws FRAME_TRUNCATED. */
  end(): void {
    if (this.#headFilled > 0) throw frameTruncated();
  }

  #takeHead(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#head, this.#headFilled, at);
    this.#headFilled += taken;
    if (this.#headFilled < headBytes) return taken;
    const flags = this.#head.readUInt8(0);
    if (flags === compressedFlag) throw messageCompressed();
    if (flags !== 0) throw frameMalformed(flags);
    this.#length = this.#head.readUInt32BE(1);
    if (this.#length > this.#maxMessageBytes) throw requestTooLarge('message', this.#maxMessageBytes);
    this.#filled = 0;
    this.#message = Buffer.alloc(0);
    return taken;
  }

  #takeContent(chunk: Buffer, at: number): number {
    const taken = Math.min(chunk.length - at, this.#length - this.#filled);
    if (taken === this.#length) this.#message = chunk.subarray(at, at + taken);
    else {
      this.#makeRoom(this.#filled + taken);
      chunk.copy(this.#message, this.#filled, at, at + taken);
    }
    this.#filled += taken;
    return taken;
  }

  #makeRoom(bytes: number): void {
    if (this.#message.length >= bytes) return;
    const room = Math.min(this.#length, Math.max(bytes, firstRoomBytes, 2 * this.#message.length));
    const grown = Buffer.allocUnsafeSlow(room);
    this.#message.copy(grown, 0, 0, this.#filled);
    this.#message = grown;
  }
}
