import { overlap } from './overlap.ts';

/** What a piece of stream text turns into. */
export interface Filtered {
  /** Text to pass on now, the nonce cut out. */
  readonly text: string;
  /** True once the nonce has been seen. */
  readonly isFound: boolean;
}

/** Finds a nonce line in stream text that may arrive in pieces, and cuts it out. */
export interface NonceFilter {
  push(text: string): Filtered;
  /** Text held back because it might have been the nonce's beginning. */
  rest(): string;
}

/** For one stream. The line is cut out once, with the indentation before it; what comes later passes unread. */
export function createNonceFilter(nonce: string): NonceFilter {
  const line = `${nonce}\n`;
  let held = '';
  let isFound = false;
  return {
    push: (text) => {
      if (isFound) return { text, isFound };
      const all = held + text;
      const at = all.indexOf(line);
      if (at >= 0) {
        isFound = true;
        held = '';
        // console.group() of the notebook indents our line too.
        return { text: all.slice(0, at).replace(/[ \t]+$/, '') + all.slice(at + line.length), isFound };
      }
      const keep = overlap(all, line);
      held = keep === 0 ? '' : all.slice(-keep);
      return { text: keep === 0 ? all : all.slice(0, -keep), isFound };
    },
    rest: () => {
      const rest = held;
      held = '';
      return rest;
    },
  };
}
