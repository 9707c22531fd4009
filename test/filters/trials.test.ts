import assert from 'node:assert/strict';
import { createRunTimes } from '../../plugins/engine/load/run-times.ts';
import {
  compareErrors,
  compareLatency,
  defaultTrialLimits,
  proportionZ,
} from '../../plugins/engine/versions/compare-versions.ts';
import type { Principal } from '../../server/core/call.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { runCall } from './bed/run-call.ts';
import { answering, answerOf, refusedBy, sourceOf, takeCalls } from './bed/staged.ts';

const principal = (id: string): Principal => ({ id, scopes: new Set(), method: 'none' });

describe('a canary', () => {
  it('takes its share of the calls by their id, the same calls for all filters of the group', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "onRequestMessage: (m) => m + ' a1',");
    await folders.filter('b', "order: 1, onRequestMessage: (m) => m + ' b1',");
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([
      sourceOf('a', '2.0.0', "order: 5, onRequestMessage: (m) => m + ' a2',"),
      sourceOf('b', '2.0.0', "order: 1, onRequestMessage: (m) => m + ' b2',"),
    ]);
    await engine.admin.promote(group, { stage: 'canary', share: 0.3, principals: [] });
    const seen = new Map<unknown, number>();
    for (let i = 0; i < 2000; i++) {
      const answer = await answerOf(engine, { id: `call-${i}` });
      assert.equal(await answerOf(engine, { id: `call-${i}` }), answer, 'an id is decided for good');
      seen.set(answer, (seen.get(answer) ?? 0) + 1);
    }
    assert.deepEqual([...seen.keys()].toSorted(), ['request a1 b1', 'request b2 a2'], 'all new or all old');
    const share = (seen.get('request b2 a2') ?? 0) / 2000;
    assert.ok(Math.abs(share - 0.3) < 0.04, `${share}`);
    const call = createFakeCall();
    await runCall(engine, call);
    const words = engine
      .explain(call.id)
      ?.filters.map(({ id, version, status, detail }) => `${id}@${version} ${status} ${detail}`);
    assert.equal(words?.filter((text) => text.endsWith('skipped canary')).length, 2);
    assert.equal(words?.filter((text) => text.endsWith('ran ')).length, 2);
  });

  it('takes only calls of its principals, known from the authentication before it', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'auth',
      "order: -1, run: (call) => { call.principal = { id: call.requestMetadata.get('who'), scopes: new Set(), method: 'none' }; },",
    );
    await folders.filter('a', answering('old'));
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', answering('new'))]);
    await engine.admin.promote(group, { stage: 'canary', share: 1, principals: ['ann'] });
    assert.equal(await answerOf(engine, { metadata: { who: 'ann' } }), 'new');
    assert.equal(await answerOf(engine, { metadata: { who: 'bob' } }), 'old');
    assert.equal(await answerOf(engine, { principal: principal('ann'), metadata: { who: 'bob' } }), 'old');
  });

  it('is rolled back by itself when its calls fail more often, with the numbers', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    const engine = await folders.engine();
    const bad =
      "run: (call) => { if (call.id.endsWith('7')) throw new AppError({ code: Code.INTERNAL, reason: 'X', message: 'x' }); },";
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', bad)]);
    await engine.admin.promote(group, { stage: 'canary', share: 0.5, principals: [] });
    await takeCalls(engine, 100);
    assert.match(engine.admin.get('test.a', '2.0.0').explanation, /fewer than 100 calls on a side/);
    await takeCalls(engine, 700);
    await waitUntil('it is rolled back', () => engine.admin.get('test.a', '2.0.0').stage === 'rolled_back');
    const { explanation } = engine.admin.get('test.a', '2.0.0');
    assert.match(
      explanation,
      /^rolled back by itself: failed calls: \d+ of \d+ \(\d+\.\d %\) against 0 of \d+ \(0\.0 %\), z = \d+\.\d over 3\.3$/,
    );
    assert.ok((await takeCalls(engine, 100)).every(({ error }) => error === undefined));
    assert.equal(engine.admin.get('test.a').version, '1.0.0');
  });

  it('is rolled back by itself when it fails though calls go on without it', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "failurePolicy: 'open', run: () => {},");
    const engine = await folders.engine();
    const bad = "failurePolicy: 'open', run: (call) => { if (call.id.endsWith('3')) throw new Error('fault'); },";
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', bad)]);
    await engine.admin.promote(group, { stage: 'canary', share: 0.5, principals: [] });
    await takeCalls(engine, 800);
    await waitUntil('it is rolled back', () => engine.admin.get('test.a', '2.0.0').stage === 'rolled_back');
    assert.match(
      engine.admin.get('test.a', '2.0.0').explanation,
      /test\.a 2\.0\.0 against 1\.0\.0, faults of the filter: \d+ of/,
    );
  });

  it('is rolled back by itself when its median time is too long', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    const engine = await folders.engine({ trialLimits: { minCalls: 50 } });
    const slow = 'run: () => { const end = performance.now() + 0.5; while (performance.now() < end); },';
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', slow)]);
    await engine.admin.promote(group, { stage: 'canary', share: 0.5, principals: [] });
    await takeCalls(engine, 300);
    await waitUntil('it is rolled back', () => engine.admin.get('test.a', '2.0.0').stage === 'rolled_back');
    assert.match(engine.admin.get('test.a', '2.0.0').explanation, /median time: .* against .* over 2x/);
  });

  it('tries a filter that is new, against the calls without it', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('z', 'run: () => {},');
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([
      sourceOf('new', '1.0.0', "run: () => { throw new Error('always'); },"),
    ]);
    await refusedBy(
      'stage',
      engine.admin.promote(group, { stage: 'shadow', share: 1, principals: [] }),
      /no active version/,
    );
    await engine.admin.promote(group, { stage: 'canary', share: 0.3, principals: [] });
    await takeCalls(engine, 800);
    await waitUntil('it is rolled back', () => engine.admin.get('test.new', '1.0.0').stage === 'rolled_back');
    assert.deepEqual(
      engine.admin.list().map(({ id }) => id),
      ['test.z'],
    );
  });

  it('may be one per filter, and begins again when the version that it is compared with changes', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('1'));
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', answering('2'))]);
    const other = await engine.admin.stage([sourceOf('a', '3.0.0', answering('3'))]);
    await engine.admin.promote(group, { stage: 'canary', share: 0.5, principals: [] });
    await refusedBy(
      'stage',
      engine.admin.promote(other.group, { stage: 'canary', share: 0.1, principals: [] }),
      /on trial/,
    );
    await takeCalls(engine, 50);
    assert.match(engine.admin.get('test.a', '2.0.0').explanation, /against 0 of (1|2|3)\d/);
    await folders.filter('a', answering('1b'));
    await engine.reload();
    assert.match(engine.admin.get('test.a', '2.0.0').explanation, /against 0 of 0/);
    assert.deepEqual(new Set(await Promise.all([...Array(40)].map(() => answerOf(engine)))), new Set(['1b', '2']));
    await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    assert.match(engine.admin.get('test.a').explanation, /^promoted; before: failed calls/);
    await refusedBy('stage', engine.admin.promote(group, { stage: 'canary', share: 0.5, principals: [] }), /is active/);
  });
});

describe('the comparison of versions', () => {
  it('computes z of the two-proportion test', () => {
    // 45 of 200 against 30 of 300: pooled 0.15, standard error 0.0326.
    assert.ok(Math.abs(proportionZ({ calls: 200, errors: 45 }, { calls: 300, errors: 30 }) - 3.835) < 0.01);
    assert.equal(proportionZ({ calls: 10, errors: 0 }, { calls: 10, errors: 0 }), 0);
    assert.equal(proportionZ({ calls: 10, errors: 10 }, { calls: 10, errors: 10 }), 0);
  });

  it('seldom blames a version that is no worse: under 1 % of 1,000 trials with a judgement every 25 calls', () => {
    const random = createSeededRandom(7);
    let blamed = 0;
    for (let trial = 0; trial < 1000; trial++) {
      const candidate = { calls: 0, errors: 0 };
      const baseline = { calls: 0, errors: 0 };
      for (let call = 0; call < 4000; call++) {
        const side = random.next() < 0.2 ? candidate : baseline;
        side.calls++;
        if (random.next() < 0.03) side.errors++;
        if (side !== candidate || side.calls % 25 !== 0) continue;
        if (!compareErrors('x', candidate, baseline, defaultTrialLimits).isWorse) continue;
        blamed++;
        break;
      }
    }
    assert.ok(blamed < 10, `${blamed} of 1,000`);
  });

  it('finds a version with three times the errors within 2,000 calls, nearly always', () => {
    const random = createSeededRandom(8);
    let found = 0;
    for (let trial = 0; trial < 200; trial++) {
      const sides = [0.06, 0.02].map((rate) => ({ calls: 0, errors: 0, rate }));
      const [candidate = { calls: 0, errors: 0 }, baseline = { calls: 0, errors: 0 }] = sides;
      for (let call = 0; call < 2000; call++) {
        const side = sides[random.next() < 0.5 ? 0 : 1] ?? { calls: 0, errors: 0, rate: 0 };
        side.calls++;
        if (random.next() < side.rate) side.errors++;
      }
      if (compareErrors('x', candidate, baseline, defaultTrialLimits).isWorse) found++;
    }
    assert.ok(found > 180, `${found} of 200`);
  });

  it('judges medians by ratio and difference', () => {
    const time = (runs: number, medianNs: number | undefined) => ({ runs, medianNs });
    assert.equal(
      compareLatency(time(100, 900), time(100, 300), defaultTrialLimits).isWorse,
      false,
      'under 100 µs apart',
    );
    assert.equal(compareLatency(time(100, 3e6), time(100, 2e6), defaultTrialLimits).isWorse, false, '1.5x');
    assert.equal(compareLatency(time(99, 5e6), time(100, 2e6), defaultTrialLimits).isWorse, false, 'too few');
    assert.equal(compareLatency(time(100, 5e6), time(100, 2e6), defaultTrialLimits).isWorse, true);
    assert.equal(compareLatency(time(0, undefined), time(1, 1), defaultTrialLimits).isWorse, false);
  });
});

describe('run times of a filter', () => {
  it('give quantiles within 13 % of the exact ones, over eight powers of ten', () => {
    const random = createSeededRandom(3);
    const times = createRunTimes();
    const exact: number[] = [];
    for (let i = 0; i < 20_000; i++) {
      const ns = 10 ** (1 + random.next() * 8);
      times.add(ns);
      exact.push(ns);
    }
    exact.sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99]) {
      const real = exact[Math.ceil(share * exact.length) - 1] ?? 0;
      const ratio = (times.quantile(share) ?? 0) / real;
      assert.ok(ratio > 0.87 && ratio < 1.13, `${share}: ${ratio}`);
    }
    assert.equal(times.count, 20_000);
    const before = times.copy();
    for (let i = 0; i < 10; i++) times.add(5e9);
    assert.equal(times.since(before).count, 10);
    assert.ok((times.since(before).quantile(0.5) ?? 0) > 3.5e9);
    assert.equal(createRunTimes().quantile(0.5), undefined);
  });
});
