/**
 * For tests that authors write beside their filters, as `showrunner/filter-kit`; `showrunner filters test FOLDER`
 * runs them.
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Call } from '../../server/core/call.ts';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { type Logger, silentLogger } from '../../server/core/log.ts';
import { createSeededRandom, type Random } from '../../server/core/random.ts';
import { type ConformanceOptions, type ConformanceResult, runConformance } from './kit/conformance.ts';
import { createSampleCall } from './kit/sample-call.ts';
import { runSelfTests, type SelfTestInput, type SelfTestOutcome, takeCase } from './kit/self-test.ts';
import { checkFilter } from './load/check-filter.ts';
import { importFilter } from './load/import-filter.ts';
import { holdFilter, type OpenFilterOptions, openFilter, releaseFilter } from './load/loaded-filter.ts';
import { readFolder } from './load/read-folders.ts';

export type { ConformanceOptions, ConformanceResult } from './kit/conformance.ts';

/** What a filter is opened with; nothing need be given. */
export interface FilterKitOptions {
  /** Raw configuration; default none given. */
  readonly config?: unknown;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: seeded, the same numbers in every run. */
  readonly random?: Random;
  /** Default: lines are dropped. */
  readonly log?: Logger;
}

/** An opened filter and calls for it. */
export interface FilterKit extends AsyncDisposable {
  readonly id: string;
  readonly version: string;
  /** Takes a call through the filter: what came out of it, and the call as it was at its end. */
  take(input?: SelfTestInput): Promise<SelfTestOutcome & { readonly call: Call }>;
  /** Runs the filter's own cases. Throws FILTER_LOAD_FAILED that names the first that comes out otherwise. */
  selfTest(): Promise<readonly string[]>;
  /** Takes the filter through what servers do to filters, and says what it does not bear. */
  conform(options?: ConformanceOptions): Promise<readonly ConformanceResult[]>;
}

/**
 * Imports and opens the filter of a folder, given as its path, or as the URL of any file in it (`import.meta.url`).
 * Throws FILTER_LOAD_FAILED, FILTER_INVALID, FILTER_CONFIG_INVALID.
 */
export async function openFilterKit(place: string, options: FilterKitOptions = {}): Promise<FilterKit> {
  const { clock = systemClock, random = createSeededRandom(1), log = silentLogger } = options;
  const source = await readFolder(place.startsWith('file:') ? dirname(fileURLToPath(place)) : place);
  const module = await importFilter(source);
  const definition = checkFilter(module.filter, source.file);
  const open: OpenFilterOptions = {
    ...{ ...source, definition, rawConfig: options.config, log, clock, random, openTimeoutMs: 10_000 },
  };
  const filter = await openFilter(open);
  holdFilter(filter);
  return {
    id: filter.id,
    version: filter.version,
    take: async (input = {}) => {
      const call = createSampleCall(input.call ?? {}, clock, filter.messages);
      return { ...(await takeCase(filter, input, call, clock)), call };
    },
    selfTest: async () => {
      await runSelfTests(open);
      return (definition.selfTest ?? []).map(({ name }) => name);
    },
    conform: (limits = {}) => runConformance(filter, clock, limits),
    [Symbol.asyncDispose]: () => releaseFilter(filter),
  };
}
