import { join } from 'node:path';
import type { Capabilities } from '../../../plugins/engine/contract/capabilities.ts';
import { createFilterEngine, type FilterEngine } from '../../../plugins/engine/engine.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { type Logger, silentLogger } from '../../../server/core/log.ts';
import { createSeededRandom } from '../../../server/core/random.ts';

/** The folder of the filters that showrunner ships. */
export const shippedDir = join(import.meta.dirname, '../../../plugins/filters');

export interface ShippedOptions {
  readonly clock: Clock;
  readonly log?: Logger;
  readonly capabilities?: Capabilities;
  /** The only filters that take part; the others are switched off. */
  readonly only: readonly string[];
}

/** The engine on the shipped folder with some of its filters. */
export async function startShipped(
  config: Record<string, unknown>,
  { clock, log = silentLogger, only, capabilities }: ShippedOptions,
): Promise<FilterEngine & AsyncDisposable> {
  const engine = await createFilterEngine({
    ...{ dirs: [shippedDir], config, log, clock, random: createSeededRandom(1), watch: false, capabilities },
  });
  for (const { id } of engine.snapshot().filters) if (!only.includes(id)) engine.setDisabled(id, true);
  return { ...engine, [Symbol.asyncDispose]: () => engine.close() };
}
