import { readFile } from 'node:fs/promises';
import { asFloat } from '../../../notebooks-runner/parameters/parameter-value.ts';
import { invalidField, messageOf } from '../../core/errors.ts';
import type { GivenParameter, RunArguments } from './run-options.ts';

const maxFileBytes = 16 * 1_048_576;

/** The parameters of the command line, in Papermill's order: base64, files, YAML text, then names with values. */
export async function readGivenParameters({
  values,
  pairs,
  input,
  output,
}: RunArguments): Promise<Record<string, unknown>> {
  const found: [string, unknown][] = [];
  const paths = values['inject-paths'] === true;
  if (paths || values['inject-input-path'] === true) found.push(['PAPERMILL_INPUT_PATH', input ?? '']);
  if (paths || values['inject-output-path'] === true) found.push(['PAPERMILL_OUTPUT_PATH', output ?? '']);
  for (const text of values.parameters_base64 ?? []) {
    found.push(...(await readYaml(Buffer.from(text, 'base64').toString('utf8'), '--parameters_base64')));
  }
  for (const path of values.parameters_file ?? []) found.push(...(await readYaml(await readText(path), path)));
  for (const text of values.parameters_yaml ?? []) found.push(...(await readYaml(text, '--parameters_yaml')));
  for (const pair of pairs) found.push([pair.name, readValue(pair)]);
  return Object.fromEntries(found);
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw invalidField('--parameters_file', messageOf(error));
  });
  if (bytes.length > maxFileBytes) throw invalidField('--parameters_file', `is over ${maxFileBytes} bytes`);
  return bytes.toString('utf8');
}

/** YAML 1.2 with merge keys: `yes` and `on` are text, dates too, unless they are tagged `!!timestamp`. */
async function readYaml(text: string, field: string): Promise<[string, unknown][]> {
  // Loaded only where it is needed, as it takes as long as the rest of the command.
  const { parseDocument } = await import('yaml');
  let value: unknown;
  try {
    const document = parseDocument(text, { schema: 'core', merge: true, intAsBigInt: true, prettyErrors: true });
    // A warning is a tag that nobody knows: what it stands for would be lost.
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault !== undefined) throw fault;
    value = toParameter(document.toJS({ maxAliasCount: 100, mapAsMap: true }));
  } catch (error) {
    throw invalidField(field, error instanceof RangeError ? 'nests too deeply, or in itself' : messageOf(error));
  }
  if (value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidField(field, 'must map names to values');
  return Object.entries(value);
}

/** Integers that a number holds exactly are numbers, `1.0` is a float, sets lists; moments and bytes are as they are. */
function toParameter(value: unknown): unknown {
  if (typeof value === 'number') return asFloat(value);
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value) || value instanceof Set) return Array.from(value, toParameter);
  if (value instanceof Map) {
    return Object.fromEntries(Array.from(value, ([key, item]) => [keyOf(key), toParameter(item)]));
  }
  return value;
}

/** Keys are text, as in papermill; a list or object is none, and nothing would be the same as an empty text. */
function keyOf(key: unknown): string {
  if (typeof key === 'object') throw new TypeError('a key is a list, an object or null, where it must be text');
  return String(key);
}

const words: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };
const floatWords: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

/** What a value on the command line means: only a text that a number is written as is one. */
export function readValue({ text, kind }: Omit<GivenParameter, 'name'>): unknown {
  if (kind === 'raw') return text;
  if (Object.hasOwn(words, text)) return words[text];
  if (Object.hasOwn(floatWords, text.toLowerCase())) return floatWords[text.toLowerCase()];
  if (/^-?(?:0|[1-9]\d*)$/.test(text)) {
    const number = Number(text);
    return Number.isSafeInteger(number) ? number + 0 : BigInt(text);
  }
  return /^-?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?$/.test(text) ? asFloat(Number(text)) : text;
}
