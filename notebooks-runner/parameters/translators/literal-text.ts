/**
 * A double-quoted literal that TypeScript, JavaScript and Python read alike: JSON escapes plus every control and
 * line-separator character that some reader takes for a line end (U+0085, U+2028, U+2029) or drops (U+FEFF).
 */
export function quoteText(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
