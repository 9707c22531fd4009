import { type CallExplanation, createCallRecords, explainRecord } from '../../../plugins/engine/call/call-record.ts';
import { createSession } from '../../../plugins/engine/call/session.ts';
import type { Filter } from '../../../plugins/engine/filter.ts';
import { createFilterFaults } from '../../../plugins/engine/filter-faults.ts';
import { createFilterMetrics } from '../../../plugins/engine/filter-metrics.ts';
import { checkFilter } from '../../../plugins/engine/load/check-filter.ts';
import { type LoadedFilter, openFilter } from '../../../plugins/engine/load/loaded-filter.ts';
import { createSnapshot, type Snapshot } from '../../../plugins/engine/set/snapshot.ts';
import type { CallPipeline } from '../../../server/core/call.ts';
import { type Logger, silentLogger } from '../../../server/core/log.ts';
import { createSeededRandom, type Random } from '../../../server/core/random.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

export interface InlinePipeline extends CallPipeline {
  readonly clock: FakeClock;
  readonly filters: readonly LoadedFilter[];
  readonly snapshot: Snapshot;
  explain(callId: string): CallExplanation;
}

export interface InlineOptions {
  readonly clock?: FakeClock;
  readonly log?: Logger;
  readonly random?: Random;
  readonly config?: Record<string, unknown>;
  readonly disabled?: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: filters of all configurations and states stand in one list
export type AnyFilter = Filter<any, any>;

/** The engine's own parts over filters given in the test, without folders and loading. */
export async function createInlinePipeline(
  definitions: readonly AnyFilter[],
  options: InlineOptions = {},
): Promise<InlinePipeline> {
  const { clock = createFakeClock(), log = silentLogger, random = createSeededRandom(1), config = {} } = options;
  const filters = await Promise.all(
    definitions.map((definition) =>
      openFilter({
        definition: checkFilter(definition, 'inline'),
        ...{ file: 'inline', hash: '', log, clock, random, openTimeoutMs: 1000 },
        rawConfig: config[definition.id],
      }),
    ),
  );
  const snapshot = createSnapshot(1, filters, new Set(options.disabled));
  const metrics = createFilterMetrics();
  const records = createCallRecords(100);
  const deps = { clock, records, metrics, faults: createFilterFaults(clock, metrics) };
  return {
    ...{ clock, filters, snapshot },
    open: (call) => {
      const chain = snapshot.chainFor(call);
      return chain.slots.length === 0 ? undefined : createSession(call, chain, snapshot, deps);
    },
    explain: (callId) => {
      const record = records.find(callId);
      if (record === undefined) throw new Error(`no record of ${callId}`);
      return explainRecord(record);
    },
  };
}
