import { createCounters } from '../core/counters.ts';
import { createRecentMap } from '../core/recent-map.ts';
import type { EncodeSetFile } from './encode-set-record.ts';
import type { EncodeSetStore } from './encode-set-store.ts';
import type { EncodeSetId } from './holdings.ts';

/** What a player may choose from: the video, audio and text files of registered encode sets. */
export interface FileLists {
  /** By id. The set must be registered: from then on it never changes, so its list is kept. */
  playable(encodeSet: EncodeSetId): Promise<readonly EncodeSetFile[]>;
}

/** Lists kept, the least recently used go first. */
const maxLists = 500;
/** Longer lists are read anew each time: 500 of them are about 30 MB at most. */
const maxKeptFiles = 200;

/** Keeps the 500 lists used last, those of at most 200 files. */
export function createFileLists(encodeSets: Pick<EncodeSetStore, 'files'>): FileLists {
  const counters = createCounters('manifest', {
    file_lists_read: 'File lists read from the records store',
    file_lists_evicted: 'File lists dropped from memory at its bound',
  });
  const kept = createRecentMap<readonly EncodeSetFile[]>(maxLists, () => counters.add('file_lists_evicted'));

  async function read({ titleId, version }: EncodeSetId): Promise<readonly EncodeSetFile[]> {
    counters.add('file_lists_read');
    const files: EncodeSetFile[] = [];
    for await (const file of encodeSets.files(titleId, version)) {
      if (file.kind === 'video' || file.kind === 'audio' || file.kind === 'text') files.push(file);
    }
    return files;
  }

  return {
    playable: async (encodeSet) => {
      const key = `${encodeSet.titleId}/${encodeSet.version}`;
      const found = kept.get(key);
      if (found !== undefined) return found;
      const files = await read(encodeSet);
      if (files.length <= maxKeptFiles) kept.set(key, files);
      return files;
    },
  };
}
