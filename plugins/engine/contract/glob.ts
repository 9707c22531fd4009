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

const maxKnownTexts = 1024;

/** `globMatcher` for paths: a server's calls are of few, so that what was found for one is remembered. */
export function pathMatcher(patterns: readonly string[]): TextMatcher {
  if (patterns.length === 0) return () => false;
  return rememberPaths(globMatcher(patterns));
}

/** Remembers what `find` gives for a path; callers choose unknown paths at will, so it begins anew when it is full. */
export function rememberPaths<T>(find: (path: string) => T): (path: string) => T {
  const known = new Map<string, T>();
  return (path) => {
    const before = known.get(path);
    if (before !== undefined) return before;
    const found = find(path);
    if (known.size >= maxKnownTexts) known.clear();
    known.set(path, found);
    return found;
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
