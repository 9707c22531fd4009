import { notebookInvalid } from '../errors.ts';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import type { Notebook } from '../nbformat/notebook.ts';
import { defaultNormalisers, isNormaliser, normaliserNames } from './normalise-output.ts';

/** How a notebook wants to be tested. */
export interface TestSettings {
  readonly parameters: JsonObject;
  readonly runTimeoutMs: number;
  readonly normalisers: readonly string[];
  /** Why it is not run; undefined when it is. */
  readonly skip: string | undefined;
}

const path = 'metadata.showrunner.test';
const defaultTimeoutSeconds = 300;

/** Reads `metadata.showrunner.test` {parameters, timeout_seconds, normalise, skip}. Throws NOTEBOOK_INVALID. */
export function readTestSettings({ metadata }: Notebook): TestSettings {
  const own = metadata['showrunner'];
  const given = isJsonObject(own) ? (own['test'] ?? {}) : {};
  if (!isJsonObject(given)) throw notebookInvalid(path, 'must be an object');
  const parameters = given['parameters'] ?? {};
  const { normalise = defaultNormalisers, skip } = given;
  const timeout = given['timeout_seconds'] ?? defaultTimeoutSeconds;
  if (!isJsonObject(parameters)) throw notebookInvalid(`${path}.parameters`, 'must be an object');
  if (typeof timeout !== 'number' || !(timeout > 0)) {
    throw notebookInvalid(`${path}.timeout_seconds`, 'must be a number over 0');
  }
  if (!Array.isArray(normalise) || !normalise.every((name) => typeof name === 'string' && isNormaliser(name))) {
    throw notebookInvalid(`${path}.normalise`, `must be a list of ${normaliserNames.join(', ')}`);
  }
  if (skip !== undefined && typeof skip !== 'string') throw notebookInvalid(`${path}.skip`, 'must be a reason');
  return { parameters, runTimeoutMs: timeout * 1000, normalisers: normalise.map(String), skip };
}
