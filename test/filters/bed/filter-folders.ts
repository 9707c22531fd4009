import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createFilterEngine, type FilterEngine, type FilterEngineOptions } from '../../../plugins/engine/engine.ts';
import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { createSeededRandom } from '../../../server/core/random.ts';
import { createTempDir } from '../../support/temp-dir.ts';

const contractUrl = pathToFileURL(join(import.meta.dirname, '../../../plugins/engine/filter.ts')).href;

export interface FilterFolders extends AsyncDisposable {
  readonly path: string;
  /** Writes a file below the folder. */
  file(path: string, source: string): Promise<void>;
  /** Writes `<name>/filter.ts` with a filter `test.<name>`; `fields` is TypeScript inside the object literal. */
  filter(name: string, fields: string, head?: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** An engine on the folder that does not watch; closed with the folder. */
  engine(options?: Partial<FilterEngineOptions>): Promise<FilterEngine>;
}

/** A temporary folder of filters; removed, and its engines closed, when disposed. */
export async function createFilterFolders(): Promise<FilterFolders> {
  const dir = await createTempDir();
  const engines: FilterEngine[] = [];
  const file = async (path: string, source: string) => {
    const target = join(dir.path, path);
    // As editors do it: a reload that runs at this moment sees the old file or the new one, never half of it.
    const temporary = join(dirname(target), `.${basename(target)}.tmp`);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(temporary, source);
    await rename(temporary, target);
  };
  return {
    path: dir.path,
    file,
    filter: (name, fields, head = '') =>
      file(
        `${name}/filter.ts`,
        `import { defineFilter, schema, type Call } from '${contractUrl}';
${head}
export const filter = defineFilter({
  id: 'test.${name}', version: '1.0.0', type: 'inbound', order: 0, category: 'context',
  ${fields}
});\n`,
      ),
    remove: (name) => rm(join(dir.path, name), { recursive: true }),
    engine: async (options = {}) => {
      const engine = await createFilterEngine({
        ...{ dirs: [dir.path], config: {}, log: silentLogger, clock: systemClock, random: createSeededRandom(1) },
        ...{ watch: false, ...options },
      });
      engines.push(engine);
      return engine;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(engines.map((engine) => engine.close()));
      await dir[Symbol.asyncDispose]();
    },
  };
}
