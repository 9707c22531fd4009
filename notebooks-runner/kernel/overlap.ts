/** Length of the longest end of `text` that is a beginning of `word`, but not all of it. */
export function overlap(text: string, word: string): number {
  const last = text.at(-1);
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--) {
    // Most lengths are told apart by one letter, without a copy of the rest.
    if (word[length - 1] === last && text.endsWith(word.slice(0, length))) return length;
  }
  return 0;
}
