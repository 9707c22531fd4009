/** The last part of a stream of text: whole lines, within a bound, with a count of what was dropped. */
export interface OutputTail {
  push(chunk: Buffer): void;
  /** The lines still held, oldest first. */
  lines(): string[];
  /** Bytes no longer held. */
  readonly droppedBytes: number;
}

/** Keeps the first eighth and the last seven eighths of `maxBytes`: the first error is the cause, the last the end. */
export function createOutputTail(maxBytes: number): OutputTail {
  const headBytes = Math.floor(maxBytes / 8);
  let head = '';
  let tail = '';
  let droppedBytes = 0;
  return {
    push: (chunk) => {
      const text = chunk.toString('latin1');
      const room = Math.max(0, headBytes - head.length);
      head += text.slice(0, room);
      tail += text.slice(room);
      const over = tail.length - (maxBytes - headBytes);
      if (over > 0) {
        droppedBytes += over;
        tail = tail.slice(over);
      }
    },
    lines: () => {
      const text = droppedBytes > 0 ? `${head}\n${tail}` : head + tail;
      return text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
    },
    get droppedBytes() {
      return droppedBytes;
    },
  };
}
