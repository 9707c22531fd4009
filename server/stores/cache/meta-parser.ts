/** One answer line, with its value for `VA`. */
export interface MetaReply {
  /** First word: HD, VA, EN, NF, NS, EX, MN, STAT, END, SERVER_ERROR, CLIENT_ERROR, ERROR … */
  readonly code: string;
  /** The words behind it (behind the size for VA), e.g. `f5`, `c12`, `t-1`. */
  readonly flags: readonly string[];
  /** A copy, so that the read buffer can be used again. */
  readonly value: Uint8Array | undefined;
  readonly line: string;
}

/** Flags and an opaque fit well within this; a longer line is no meta protocol. */
const maxLineBytes = 2_048;
/** Items that other clients stored on a server with a larger `-I` are read up to this size. */
const maxValueBytes = 64 * 1024 * 1024;
const newline = 10;

/** Makes answers of the bytes of one connection. */
export interface MetaParser {
  /** Takes the next bytes from the socket; throws Error on anything that is no meta protocol. */
  push(chunk: Uint8Array): void;
}

/**
 * Parses memcached's answers, cut anywhere. Format: doc/protocol.txt "Meta Commands" at
 * https://github.com/memcached/memcached.
 */
export function createMetaParser(onReply: (reply: MetaReply) => void): MetaParser {
  /** Begin of a line whose end has not come. */
  let partial: Buffer | undefined;
  /** Value being filled, with its closing line end. */
  let body: Buffer | undefined;
  let filled = 0;
  let bodyReply: Omit<MetaReply, 'value'> = { code: '', flags: [], line: '' };

  function fillBody(target: Buffer, chunk: Buffer, from: number): number {
    const copied = chunk.copy(target, filled, from);
    filled += copied;
    if (filled === target.length) {
      const size = target.length - 2;
      if (target[size] !== 13 || target[size + 1] !== newline) throw new Error('value without its line end');
      body = undefined;
      onReply({ ...bodyReply, value: target.subarray(0, size) });
    }
    return from + copied;
  }

  function takeLine(chunk: Buffer, from: number): number {
    const end = chunk.indexOf(newline, from);
    const piece = chunk.subarray(from, end === -1 ? chunk.length : end + 1);
    const length = (partial?.length ?? 0) + piece.length;
    if (length > maxLineBytes) throw new Error(`line of over ${maxLineBytes} bytes`);
    if (end === -1) {
      // concat copies, so the read buffer is free again.
      partial = Buffer.concat(partial === undefined ? [piece] : [partial, piece]);
      return chunk.length;
    }
    const line = (partial === undefined ? piece : Buffer.concat([partial, piece])).toString('latin1');
    partial = undefined;
    if (!line.endsWith('\r\n')) throw new Error('line without its return character');
    takeReply(line.slice(0, -2));
    return end + 1;
  }

  function takeReply(line: string): void {
    const [code = '', ...flags] = line.split(' ');
    if (code !== 'VA') {
      onReply({ code, flags, value: undefined, line });
      return;
    }
    const size = flags.shift() ?? '';
    if (!/^\d{1,9}$/.test(size) || Number(size) > maxValueBytes) throw new Error(`value of ${size} bytes`);
    // Small values share an 8 KiB block, which is a third cheaper than a memory block for each.
    body = Buffer.allocUnsafe(Number(size) + 2);
    filled = 0;
    bodyReply = { code, flags, line };
  }

  return {
    push: (bytes) => {
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0; at < chunk.length; ) {
        at = body === undefined ? takeLine(chunk, at) : fillBody(body, chunk, at);
      }
    },
  };
}
