import { stripVTControlCharacters } from 'node:util';
import type { JsonValue } from '../nbformat/json-value.ts';
import type { Output } from '../nbformat/notebook.ts';

/** What differs from run to run, and what stands for it in a golden output. */
const rules = {
  time: [/\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?/g, '<time>'],
  uuid: [/\b[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}\b/gi, '<uuid>'],
  duration: [/\b\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|min|h)\b/g, '<duration>'],
  address: [/\b0x[\da-f]{6,16}\b/gi, '<address>'],
  path: [/(?:\/tmp|\/private\/tmp|\/var\/folders)\/[^\s"'<>:,)\]}]+/g, '<path>'],
  port: [/\b(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}\b/g, '$1:<port>'],
} as const;

/** Names of normalisers: `ansi` and `space` are text clean-ups, `digits:<n>` rounds fractions to n digits. */
export const normaliserNames = ['ansi', 'space', ...Object.keys(rules), 'digits:<n>'];

/** What a golden output is compared by unless the notebook says otherwise. */
export const defaultNormalisers = ['ansi', 'space', 'address', 'path', 'port'];

/** True for a name that `normaliseText` knows. */
export function isNormaliser(name: string): boolean {
  return name === 'ansi' || name === 'space' || Object.hasOwn(rules, name) || /^digits:[1-9]\d?$/.test(name);
}

/** Text without what differs from run to run. */
export function normaliseText(text: string, names: readonly string[]): string {
  let result = text;
  for (const name of names) {
    const digits = /^digits:(\d+)$/.exec(name)?.[1];
    if (name === 'ansi') result = stripVTControlCharacters(result);
    else if (name === 'space') result = result.replace(/[ \t]+$/gm, '').trimEnd();
    else if (digits !== undefined) result = roundNumbers(result, Number(digits));
    else if (isRule(name)) result = result.replaceAll(rules[name][0], rules[name][1]);
  }
  return result;
}

function isRule(name: string): name is keyof typeof rules {
  return Object.hasOwn(rules, name);
}

/** Only fractions: whole numbers are counts, of which each digit matters. */
function roundNumbers(text: string, digits: number): string {
  return text.replace(/-?\b\d+\.\d+(?:e[+-]?\d+)?\b/gi, (number) => String(Number(Number(number).toPrecision(digits))));
}

/** What a reader sees of outputs, normalised: stream pieces joined, keys sorted, counts and metadata left out. */
export function shownOutputs(outputs: readonly Output[], names: readonly string[]): JsonValue[] {
  const normalise = (value: JsonValue): JsonValue => {
    if (typeof value === 'string') return normaliseText(value, names);
    if (Array.isArray(value)) return value.map(normalise);
    if (typeof value !== 'object' || value === null) {
      return typeof value === 'number' ? JSON.parse(normaliseText(JSON.stringify(value), names)) : value;
    }
    const entries = Object.entries(value).map(([key, item]) => [key, normalise(item)] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  const shown: JsonValue[] = [];
  const streams = new Map<string, string>();
  for (const output of outputs) {
    if (output.output_type === 'stream') streams.set(output.name, (streams.get(output.name) ?? '') + output.text);
    else if (output.output_type === 'error') shown.push({ error: output.ename, text: normalise(output.evalue) });
    else shown.push(normalise({ ...output.data }));
  }
  // How the two streams interleave depends on timing.
  const texts = [...streams].sort(([a], [b]) => (a < b ? -1 : 1));
  return [...texts.map(([name, text]) => ({ stream: name, text: normalise(text) })), ...shown];
}
