/** How far is looked into one message: beyond it the size is a lower bound. */
const maxValues = 10_000;

/**
 * About how many bytes a message carries: bytes exactly, text as UTF-8, numbers as 8. Field numbers and lengths of
 * the wire format are not counted.
 */
export function approximateBytes(message: unknown): number {
  let bytes = 0;
  const stack: unknown[] = [message];
  const seen = new Set<object>();
  for (let values = 0; stack.length > 0 && values < maxValues; values++) {
    const value = stack.pop();
    if (typeof value === 'string') bytes += Buffer.byteLength(value);
    else if (typeof value === 'number' || typeof value === 'bigint') bytes += 8;
    else if (typeof value === 'boolean') bytes += 1;
    else if (ArrayBuffer.isView(value)) bytes += value.byteLength;
    else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value);
      for (const [name, inner] of Object.entries(value)) if (!name.startsWith('$')) stack.push(inner);
    }
  }
  return bytes;
}
