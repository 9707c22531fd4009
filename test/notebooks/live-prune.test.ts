import assert from 'node:assert/strict';
import { join } from 'node:path';
import { livePrefix, liveSegmentKey } from '../../notebooks-runner/live/live-events.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createLivePruner, pruneLiveEvents } from '../../workers/notebook/live-writer.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

const dayMs = 24 * 3_600_000;

describe('live events of notebook runs', () => {
  it('are deleted a day after they were written, over all pages, and younger ones are kept', async () => {
    await using dir = await createTempDir();
    const clock = createShiftedClock();
    const objects = await openFolderObjects({ dir: dir.path, clock, log: silentLogger });
    for (let i = 0; i < 7; i++) await objects.put(liveSegmentKey(`a${i}`, 1), Buffer.from('{}\n'));
    clock.shift(dayMs + 60_000);
    await objects.put(liveSegmentKey('b', 1), Buffer.from('{}\n'));
    assert.equal(await pruneLiveEvents(objects, clock, 3), 7);
    assert.deepEqual(
      (await objects.list(livePrefix)).map(({ key }) => key),
      [liveSegmentKey('b', 1)],
    );
    await objects.close();
  });

  it('are looked for once in ten minutes, however many runs end', async () => {
    await using dir = await createTempDir();
    const clock = createShiftedClock();
    const folder = await openFolderObjects({ dir: join(dir.path, 'objects'), clock, log: silentLogger });
    let looks = 0;
    const objects: ObjectStore = {
      ...folder,
      list: (prefix, options) => {
        looks++;
        return folder.list(prefix, options);
      },
    };
    let elapsedMs = 0;
    const prune = createLivePruner(objects, { ...clock, monotonic: () => elapsedMs }, silentLogger);
    for (let i = 0; i < 50; i++) prune();
    await waitUntil('it looks', () => looks === 1);
    elapsedMs = 9 * 60_000;
    prune();
    elapsedMs = 11 * 60_000;
    prune();
    prune();
    await waitUntil('it looks again', () => looks >= 2);
    assert.equal(looks, 2);
    await folder.close();
  });
});
