import assert from 'node:assert/strict';
import type { JsonObject } from '@bufbuild/protobuf';
import { registerEventRules } from '../../server/app/event-rules.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import { type OpenEvents, openEvents } from '../events/open-events.ts';
import { deviceNamed, openNotifications } from '../notifications/open-notifications.ts';
import { openRankingStores, pageRequest, type RankingStores } from '../ranking/fixtures/ranking-fixture.ts';
import { waitUntil } from '../support/wait-until.ts';

const family = ['Animation', 'Children', 'Comedy'];

describe('rules of play events', () => {
  let stores: RankingStores;
  let ranking: Ranking;
  let area: OpenEvents;
  let notifications: Awaited<ReturnType<typeof openNotifications>>;
  const phone = deviceNamed('phone', { profile: 'profiles/c' });

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open();
    const { modelId } = await stores.train(await stores.importMovielens(ranking));
    await ranking.publishModel(modelId);
    area = await openEvents();
    notifications = await openNotifications();
    registerEventRules(area.events, ranking, notifications.area);
    await area.events.start();
  });
  after(async () => {
    await area[Symbol.asyncDispose]();
    await notifications[Symbol.asyncDispose]();
    await stores[Symbol.asyncDispose]();
  });

  const play = (eventId: string, profile: string, data: JsonObject, subject = 'titles/big-buck-bunny') =>
    area.events.publish({ eventId, kind: 'play.stopped', profile: `profiles/${profile}`, subject, data });

  it('hand the genres of a title on, and the next page knows them', async () => {
    await play('known', 'a', { fraction: 0.97, genres: family });
    const page = await ranking.recommend(pageRequest('a', { explain: true }));
    assert.equal(page.tier, 'online');
    assert.deepEqual(page.rows[0]?.titles[0]?.because[0]?.title.genres, family);
  });

  it('take a title without genres in, which changes nothing', async () => {
    await play('bare', 'b', { fraction: 0.97 });
    assert.equal((await ranking.recommend(pageRequest('b'))).tier, 'popularity');
  });

  it('give up an event about no title at once, and go on with the next', async () => {
    const { nextCursor } = await notifications.area.sync(phone, undefined, 100);
    const faulty: [string, string][] = [
      ['unnamed', 'titles/'],
      ['long', `titles/${'x'.repeat(129)}`],
    ];
    for (const [id, subject] of faulty) await play(id, 'c', {}, subject);
    await play('good', 'c', { genres: family });
    const idsOf = async () => {
      const inbox = await notifications.area.sync(phone, nextCursor, 100);
      return inbox.notifications.map(({ notificationId }) => notificationId);
    };
    await waitUntil('the member was told of the good one', async () => (await idsOf()).includes('rows-good'));
    assert.deepEqual(await idsOf(), ['rows-good']);
    const letters = await area.events.deadLetters.list();
    assert.deepEqual(
      letters.map(({ rule, event, attempts }) => [rule, event.eventId, attempts]),
      faulty.map(([id]) => ['rerank-nearline', id, 1]),
    );
    for (const { error } of letters) assert.match(error, /title: expected an id of 1 to 128 characters/);
    assert.equal((await ranking.recommend(pageRequest('c'))).eventsApplied, 1);
  });
});
