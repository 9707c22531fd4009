/** True when the text matches; made once, used on every call. */
export type TextMatcher = (text: string) => boolean;

/** `*` stands for any run of characters, dots and slashes included; everything else for itself. */
function matcherOf(pattern: string): TextMatcher {
  const parts = pattern.split('*');
  if (parts.length === 1) return (text) => text === pattern;
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  const least = first.length + last.length;
  // Leftmost search of each part in turn is exact for `*` alone and linear, where a regular expression may backtrack.
  return (text) => {
    if (text.length < least || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    const end = text.length - last.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}

/**
 * Matches when any plain pattern matches and no `!pattern` does. Only `!` patterns given: all else matches.
 * An empty list matches nothing.
 */
export function globMatcher(patterns: readonly string[]): TextMatcher {
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!')).map(matcherOf);
  const unwanted = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => matcherOf(pattern.slice(1)));
  const all = wanted.length === 0 && unwanted.length > 0;
  return (text) => (all || wanted.some((matches) => matches(text))) && !unwanted.some((matches) => matches(text));
}
