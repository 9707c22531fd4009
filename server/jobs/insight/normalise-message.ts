const maxChars = 300;

/**
 * A failure's message with what differs from case to case replaced: quoted texts, paths, ids and numbers. Messages of
 * the same fault become equal.
 */
export function normaliseMessage(message: string): string {
  return message
    .slice(0, 2_000)
    .replaceAll(/"[^"]*"|'[^']*'|`[^`]*`/g, '<text>')
    .replaceAll(/\b[a-z]+:\/\/\S+/gi, '<path>')
    .replaceAll(/(?<![\w<])(?:\.{0,2}\/)?[\w.@-]+(?:\/[\w.@-]+)+\/?/g, '<path>')
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/gi, '<id>')
    .replaceAll(/\b(?=[0-9a-z]*\d)(?=[0-9a-z]*[a-z])[0-9a-z]{8,}\b/gi, '<id>')
    .replaceAll(/\b0x[0-9a-f]+/gi, '<n>')
    .replaceAll(/-?\b\d+(?:[.,:]\d+)*/g, '<n>')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, maxChars);
}
