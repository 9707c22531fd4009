/** The text that a sticky pattern matches at the position; undefined for none or nothing. */
export function matchAt(pattern: RegExp, source: string, position: number): string | undefined {
  pattern.lastIndex = position;
  const text = pattern.exec(source)?.[0];
  return text === '' ? undefined : text;
}
