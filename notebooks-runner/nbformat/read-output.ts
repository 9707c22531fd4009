import { notebookInvalid } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';
import { isJsonMime, type MimeBundle, type Output } from './notebook.ts';
import { joinText } from './text-lines.ts';

const keysOf: Readonly<Record<Output['output_type'], ReadonlySet<string>>> = {
  stream: new Set(['output_type', 'name', 'text']),
  display_data: new Set(['output_type', 'data', 'metadata']),
  execute_result: new Set(['output_type', 'data', 'metadata', 'execution_count']),
  error: new Set(['output_type', 'ename', 'evalue', 'traceback']),
};

/** Checks one output; `path` is e.g. `cells[3].outputs[0]`. Extra keys (`transient`) are dropped with a warning. */
export function readOutput(value: unknown, path: string, warnings: string[]): Output {
  if (!isJsonObject(value)) throw notebookInvalid(path, 'must be an object');
  const type = value['output_type'];
  if (typeof type !== 'string' || !isOutputType(type)) {
    throw notebookInvalid(`${path}.output_type`, 'must be "stream", "display_data", "execute_result" or "error"');
  }
  for (const key of Object.keys(value)) {
    if (!keysOf[type].has(key)) warnings.push(`${path}: unknown key "${key}" dropped`);
  }
  if (type === 'stream') {
    return { output_type: type, name: readText(value, 'name', path), text: joinText(value['text'], `${path}.text`) };
  }
  if (type === 'error') return readError(value, path);
  const content = {
    data: readBundle(value['data'], `${path}.data`),
    metadata: readObject(value['metadata'], `${path}.metadata`),
  };
  if (type === 'display_data') return { output_type: type, ...content };
  const count = value['execution_count'] ?? null;
  if (count !== null && (typeof count !== 'number' || !Number.isInteger(count))) {
    throw notebookInvalid(`${path}.execution_count`, 'must be null or an integer');
  }
  return { output_type: type, execution_count: count, ...content };
}

/** Makes a MIME bundle of kernel or document data: lists of lines become one string, JSON types stay as they are. */
export function readBundle(value: unknown, path: string): MimeBundle {
  const bundle: Record<string, JsonValue> = {};
  for (const [mime, content] of Object.entries(readObject(value, path))) {
    bundle[mime] = isJsonMime(mime) ? content : joinText(content, `${path}["${mime}"]`);
  }
  return bundle;
}

function isOutputType(type: string): type is Output['output_type'] {
  return Object.hasOwn(keysOf, type);
}

function readError(value: JsonObject, path: string): Output {
  const traceback = value['traceback'];
  if (!Array.isArray(traceback) || traceback.some((line) => typeof line !== 'string')) {
    throw notebookInvalid(`${path}.traceback`, 'must be a list of strings');
  }
  const [ename, evalue] = [readText(value, 'ename', path), readText(value, 'evalue', path)];
  return { output_type: 'error', ename, evalue, traceback: [...traceback] };
}

function readText(value: JsonObject, key: string, path: string): string {
  const text = value[key];
  if (typeof text !== 'string') throw notebookInvalid(`${path}.${key}`, 'must be a string');
  return text;
}

function readObject(value: unknown, path: string): JsonObject {
  if (!isJsonObject(value)) throw notebookInvalid(path, 'must be an object');
  return structuredClone(value);
}
