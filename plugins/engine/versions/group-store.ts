import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import { replaceFile } from '../../../server/core/replace-file.ts';
import type { FilterSource } from './stage-filter.ts';

/** Stages that outlive a restart. */
export type StoredStage = 'staged' | 'shadow' | 'canary' | 'active';

/** A group of staged versions as it is kept across restarts. */
export interface StoredGroup {
  readonly id: string;
  readonly stage: StoredStage;
  readonly share: number;
  readonly principals: readonly string[];
  /** Groups that became active later lie on top of those before. */
  readonly order: number;
  readonly sources: readonly FilterSource[];
}

/** What operators changed on filters. */
export interface StoredSettings {
  readonly disabled: readonly string[];
  /** Configuration by filter id, in place of the server's. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Keeps groups and settings in a folder, one file each, written beside and renamed. */
export interface GroupStore {
  readGroups(): Promise<StoredGroup[]>;
  readSettings(): Promise<StoredSettings>;
  saveGroup(group: StoredGroup): Promise<void>;
  removeGroup(id: string): Promise<void>;
  saveSettings(settings: StoredSettings): Promise<void>;
  /** Moves a group that cannot be used out of the way, with the reason beside it. */
  setAside(id: string, why: string): Promise<void>;
}

const noSettings: StoredSettings = { disabled: [], config: {} };

/** Nothing is kept: for engines without a state folder. */
export const memoryGroupStore: GroupStore = {
  readGroups: async () => [],
  readSettings: async () => noSettings,
  saveGroup: async () => {},
  removeGroup: async () => {},
  saveSettings: async () => {},
  setAside: async () => {},
};

interface GroupFile extends Omit<StoredGroup, 'sources'> {
  readonly sources: readonly (Omit<FilterSource, 'signature'> & { readonly signature?: string })[];
}

function isGroupFile(value: unknown): value is GroupFile {
  const group = value as Partial<GroupFile> | null;
  return (
    typeof group === 'object' &&
    typeof group?.id === 'string' &&
    typeof group.order === 'number' &&
    Array.isArray(group.principals) &&
    Array.isArray(group.sources) &&
    group.sources.every((source: Partial<FilterSource>) => typeof source?.source === 'string')
  );
}

/** Sources and configurations may hold secrets: the folder is the server's alone. */
export function openGroupStore(dir: string, log: Logger): GroupStore {
  const settingsFile = join(dir, 'settings.json');
  const fileOf = (id: string) => join(dir, `group-${id}.json`);

  async function write(path: string, value: unknown): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await replaceFile(path, JSON.stringify(value), { mode: 0o600 });
  }

  async function moveAside(path: string, name: string, why: string): Promise<void> {
    const aside = join(dir, 'set-aside');
    await mkdir(aside, { recursive: true, mode: 0o700 });
    await rename(path, join(aside, name));
    await writeFile(join(aside, `${name}.why.txt`), `${why}\n`, { mode: 0o600 });
    log.error('stored filters set aside', { file: join(aside, name), why });
  }

  /** The parsed file; one that cannot be read is set aside and reads as undefined. */
  async function read(name: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(dir, name), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      await moveAside(join(dir, name), name, `cannot be read: ${messageOf(error)}`);
      return undefined;
    }
  }

  return {
    readGroups: async () => {
      const names = await readdir(dir).catch(() => []);
      const groups: StoredGroup[] = [];
      for (const name of names.filter((entry) => /^group-.*\.json$/.test(entry)).toSorted()) {
        const group = await read(name);
        if (group === undefined) continue;
        if (!isGroupFile(group)) {
          await moveAside(join(dir, name), name, 'is no stored group of filters');
          continue;
        }
        const sources = group.sources.map(({ signature, ...source }) => ({
          ...source,
          ...(signature === undefined ? {} : { signature: Buffer.from(signature, 'base64') }),
        }));
        groups.push({ ...group, sources });
      }
      return groups.toSorted((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1));
    },
    readSettings: async () => {
      const settings = (await read('settings.json')) as Partial<StoredSettings> | undefined;
      return { disabled: settings?.disabled ?? [], config: settings?.config ?? {} };
    },
    saveGroup: (group) => {
      const sources = group.sources.map(({ signature, ...source }) => ({
        ...source,
        ...(signature === undefined ? {} : { signature: Buffer.from(signature).toString('base64') }),
      }));
      return write(fileOf(group.id), { ...group, sources });
    },
    removeGroup: (id) => rm(fileOf(id), { force: true }),
    saveSettings: (settings) => write(settingsFile, settings),
    setAside: (id, why) => moveAside(fileOf(id), `group-${id}.json`, why),
  };
}
