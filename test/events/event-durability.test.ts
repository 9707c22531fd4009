import assert from 'node:assert/strict';
import { createEvents } from '../../server/events/create-events.ts';
import { startChildScript } from '../support/child-script.ts';
import { openEmbeddedStores } from '../support/embedded-stores.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { eventDeps, recordingRule } from './open-events.ts';

const script = new URL('./children/publish-events.ts', import.meta.url);

/** What follows the word in lines that begin with it. */
function idsAfter(word: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

describe('events after kill -9', () => {
  it('keeps every accepted event, and every rule sees every one of them', async () => {
    await using dir = await createTempDir();
    const accepted: string[] = [];
    const handled: string[] = [];
    for (const round of ['r1', 'r2']) {
      const child = startChildScript(script, [dir.path, round]);
      await waitUntil('many events were accepted', () => idsAfter('accepted', child.lines).length > 300, 20_000);
      await child.kill();
      accepted.push(...idsAfter('accepted', child.lines));
      handled.push(...idsAfter('handled', child.lines));
    }
    const stores = await openEmbeddedStores(dir.path);
    const events = createEvents(eventDeps(stores));
    const rule = recordingRule('slow', ['play.started']);
    events.onEvent(rule);
    await events.start();
    const { newest } = await stores.log.position('events');
    await events.publish({ eventId: 'last', kind: 'play.started' });
    await waitUntil('the rule is at the end', () => rule.seen.includes('last'), 20_000);
    const stored: string[] = [];
    for (let place = 0n, isEnd = false; !isEnd; ) {
      const page = await events.reader.list(place, 1_000, { kinds: [], profile: '' });
      stored.push(...page.events.map(({ eventId }) => eventId));
      place = page.nextOffset;
      isEnd = page.end;
    }
    await events.close();
    await stores.close();
    assert.equal(stored.length, Number(newest) + 1, 'no gaps');
    assert.deepEqual(
      accepted.filter((id) => !stored.includes(id)),
      [],
      'accepted events that are lost',
    );
    const seen = new Set([...handled, ...rule.seen]);
    assert.deepEqual(
      stored.filter((id) => !seen.has(id)),
      [],
      'events that the rule never saw',
    );
    assert.ok(rule.seen.length < stored.length, 'the rule resumed, it did not start over');
  });
});
