import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FilterEngine } from '../../../plugins/engine/engine.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { type Logger, silentLogger } from '../../../server/core/log.ts';
import { createSeededRandom } from '../../../server/core/random.ts';
import { createFilterFolders } from './filter-folders.ts';
import { shippedDir } from './shipped.ts';

export interface OnlyOptions {
  readonly clock: Clock;
  readonly log?: Logger;
  /** Ids of the shipped filters that are loaded: `showrunner.<folder>`. */
  readonly only: readonly string[];
  readonly seed?: number;
}

/** An engine with these shipped filters and no others: a test of one filter does not depend on the rest loading. */
export async function startOnly(
  config: Record<string, unknown>,
  { clock, log = silentLogger, only, seed = 1 }: OnlyOptions,
): Promise<FilterEngine & AsyncDisposable> {
  const folders = await createFilterFolders();
  for (const id of only) {
    const name = id.replace('showrunner.', '');
    const url = pathToFileURL(join(shippedDir, name, 'filter.ts')).href;
    await folders.file(`${name}/filter.ts`, `export { filter } from '${url}';\n`);
  }
  try {
    const engine = await folders.engine({ config, clock, log, random: createSeededRandom(seed) });
    return { ...engine, [Symbol.asyncDispose]: () => folders[Symbol.asyncDispose]() };
  } catch (error) {
    await folders[Symbol.asyncDispose]();
    throw error;
  }
}
