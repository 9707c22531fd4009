import { createHash, type KeyObject } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { AppError, messageOf } from '../../../server/core/errors.ts';
import type { Filter } from '../filter.ts';
import { filterRefused } from '../filter-errors.ts';
import { declareFilter, isolateFilter } from '../isolation/isolated-filter.ts';
import { defaultWorkerLimits } from '../isolation/worker-host.ts';
import { runSelfTests } from '../kit/self-test.ts';
import { checkFilter } from '../load/check-filter.ts';
import { signatureFault } from '../load/filter-signature.ts';
import { compileFile, importFilter } from '../load/import-filter.ts';
import type { LoadOptions } from '../load/load-filters.ts';
import { type LoadedFilter, openFilter } from '../load/loaded-filter.ts';
import type { FilterFolder } from '../load/read-folders.ts';
import { withDeadline } from '../with-deadline.ts';

/** Source of one new version. */
export interface FilterSource {
  /** `namespace.name`. */
  readonly id: string;
  /** ESM source in TypeScript or JavaScript: one file that imports packages, node: and `showrunner/filter` only. */
  readonly source: string;
  /** ed25519 over the source. */
  readonly signature?: Uint8Array | undefined;
  /** Its configuration; undefined = the one of the active version. */
  readonly config?: unknown;
}

/** What staging needs beside what loading needs. */
export interface StageOptions extends LoadOptions {
  /** Keys of which one must have signed; none: sources need no signature. */
  readonly signers: readonly KeyObject[];
  /** Throws when this version cannot be added to those that are there. */
  readonly checkVersion: (id: string, version: string, hash: string) => void;
}

const maxSourceBytes = 1024 * 1024;
// Packages are those of the server: a source on its own has no place.
const importBase = pathToFileURL(import.meta.filename).href;

/** What a staged source is for the loader. */
function sourceOf({ id, source }: FilterSource): FilterFolder {
  const hash = createHash('sha256').update(source).digest('hex');
  const file = `/staged/${id}/${hash.slice(0, 12)}/filter.ts`;
  return { folder: file.slice(0, -'/filter.ts'.length), file, hash, text: source, importBase };
}

const checkByReason: Readonly<Record<string, string>> = {
  FILTER_INVALID: 'shape',
  FILTER_CONFIG_INVALID: 'config',
};

function refusal(id: string, check: string, error: unknown): AppError {
  if (error instanceof AppError && error.reason === 'FILTER_REFUSED') return error;
  const known = error instanceof AppError ? (checkByReason[error.reason] ?? check) : check;
  return filterRefused(id, known, messageOf(error), error);
}

/** Runs one check; what it throws refuses the version with the check's name. */
async function checked<T>(id: string, check: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw refusal(id, check, error);
  }
}

/** The definition that serves: the module's own, or one that passes everything to a worker. */
async function define(
  given: FilterSource,
  source: FilterFolder,
  options: StageOptions,
): Promise<Filter<unknown, unknown>> {
  const { id } = given;
  const { clock, log, openTimeoutMs, workerLimits: limits = defaultWorkerLimits } = options;
  const isIsolated = options.isIsolated?.(id) ?? false;
  const isolation = { source, isIsolated, limits, clock, log, openTimeoutMs };
  // First in a thread that can be ended: a source that loops or crashes when it is imported must not do so here.
  const declared = await checked(id, 'import', () => declareFilter(isolation));
  if (declared.id !== id) throw filterRefused(id, 'shape', `the source is of filter ${declared.id}`);
  await checked(id, 'version', () => options.checkVersion(id, declared.version, source.hash));
  if (declared.isolation === 'worker') return isolateFilter(declared, isolation);
  const expired = () => filterRefused(id, 'import', `took over ${openTimeoutMs} ms`);
  const module = await checked(id, 'import', () =>
    withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () => importFilter(source)),
  );
  return checked(id, 'shape', () => checkFilter(module.filter, source.file));
}

/**
 * Takes a source through every check up to an open instance: signature, parse, import (first in a thread of its own),
 * shape, version, configuration, self-tests, open. Throws FILTER_REFUSED that names the check.
 */
export async function stageFilter(given: FilterSource, options: StageOptions): Promise<LoadedFilter> {
  const { id } = given;
  if (Buffer.byteLength(given.source) > maxSourceBytes) {
    throw filterRefused(id, 'parse', `the source has more than ${maxSourceBytes} bytes`);
  }
  const fault = signatureFault(given.source, given.signature, options.signers);
  if (fault !== undefined) throw filterRefused(id, 'signature', fault);
  const source = sourceOf(given);
  await checked(id, 'parse', () => compileFile(given.source, pathToFileURL(source.file).href, source.hash));
  const definition = await define(given, source, options);
  const open = { ...options, ...source, definition, rawConfig: given.config };
  await checked(id, 'self-test', () => runSelfTests(open));
  return checked(id, 'open', () => openFilter(open));
}
