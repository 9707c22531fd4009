import assert from 'node:assert/strict';
import { globMatcher } from '../../plugins/engine/contract/glob.ts';
import type { FilterMatch } from '../../plugins/engine/filter.ts';
import type { Call } from '../../server/core/call.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const base = { version: '1.0.0', type: 'inbound', order: 0, category: 'context' } as const;
const anchor: AnyFilter = { ...base, id: 'test.anchor', run: () => undefined };

async function statusFor(match: FilterMatch, call = createFakeCall()): Promise<string> {
  const pipeline = await createInlinePipeline([anchor, { ...base, id: 'test.f', match, run: () => undefined }]);
  await runCall(pipeline, call);
  const trace = pipeline.explain(call.id).filters.find(({ id }) => id === 'test.f');
  return `${trace?.status} ${trace?.detail}`.trim();
}

describe('filter criteria', () => {
  it('matches globs with any number of stars, and excludes with !', () => {
    const cases: [string[], string, boolean][] = [
      [['a.b'], 'a.b', true],
      [['a.b'], 'a.bc', false],
      [['a.*'], 'a.', true],
      [['*'], '', true],
      [['a*b*c'], 'axxbyyc', true],
      [['a*b*c'], 'acb', false],
      [['ab*ba'], 'aba', false],
      [['*ab*ab*'], 'xabx', false],
      [['a*', '!ab*'], 'abc', false],
      [['a*', '!ab*'], 'acc', true],
      [['!ab*'], 'zz', true],
      [[], 'a', false],
    ];
    for (const [globs, text, expected] of cases) {
      assert.equal(globMatcher(globs)(text), expected, `${globs.join(',')} on "${text}"`);
    }
  });

  it('stays linear on a glob that would make a regular expression backtrack', () => {
    const startedAt = performance.now();
    assert.equal(globMatcher([`${'*a'.repeat(40)}b`])(`${'a'.repeat(20_000)}`), false);
    assert.ok(performance.now() - startedAt < 10_000);
  });

  it('skips by service, method, kind and whether the method is known, and names the criterion', async () => {
    assert.equal(await statusFor({ services: ['test.*'] }), 'ran');
    assert.equal(await statusFor({ services: ['!test.*'] }), 'skipped service');
    assert.equal(await statusFor({ methods: ['List*'] }), 'skipped method');
    assert.equal(await statusFor({ kinds: ['bidi_stream'] }), 'skipped kind');
    assert.equal(await statusFor({ known: false }), 'skipped known');
    assert.equal(await statusFor({ known: false }, createFakeCall({ known: false })), 'ran');
  });

  it('skips by metadata: present, absent, equal', async () => {
    const call = () => createFakeCall({ metadata: { tier: 'gold', 'trace-bin': new Uint8Array([1]) } });
    assert.equal(await statusFor({ metadata: { tier: true } }, call()), 'ran');
    assert.equal(await statusFor({ metadata: { tier: false } }, call()), 'skipped metadata');
    assert.equal(await statusFor({ metadata: { other: false } }, call()), 'ran');
    assert.equal(await statusFor({ metadata: { tier: 'gold' } }, call()), 'ran');
    assert.equal(await statusFor({ metadata: { tier: ['silver', 'gold'] } }, call()), 'ran');
    assert.equal(await statusFor({ metadata: { tier: 'silver' } }, call()), 'skipped metadata');
    assert.equal(await statusFor({ metadata: { 'trace-bin': true } }, call()), 'ran');
    assert.equal(await statusFor({ metadata: { tier: 'gold', other: true } }, call()), 'skipped metadata');
  });

  it('judges the scope at the turn of the filter, after a filter before it has set the principal', async () => {
    const login: AnyFilter = {
      ...{ ...base, order: -1, id: 'test.login' },
      run: (call: Call) => {
        call.principal = { id: 'p', scopes: new Set(['admin']), method: 'jwt' };
      },
    };
    const guarded: AnyFilter = { ...base, id: 'test.f', match: { scope: 'admin' }, run: () => undefined };
    for (const [filters, expected] of [
      [[login, guarded], 'ran'],
      [[anchor, guarded], 'skipped'],
    ] as const) {
      const pipeline = await createInlinePipeline(filters);
      const call = createFakeCall();
      await runCall(pipeline, call);
      assert.equal(pipeline.explain(call.id).filters.at(-1)?.status, expected);
    }
  });

  it('takes the given share of calls', async () => {
    let ran = 0;
    const counting: AnyFilter = { ...base, id: 'test.f', match: { percent: 20 }, run: () => void ran++ };
    const pipeline = await createInlinePipeline([counting], { random: createSeededRandom(7) });
    for (let i = 0; i < 2000; i++) await runCall(pipeline, createFakeCall());
    assert.ok(ran > 340 && ran < 460, `${ran} of 2000`);
  });

  it('decides once per call, for all hooks of the filter', async () => {
    const seen: unknown[] = [];
    let asked = 0;
    const filter: AnyFilter = {
      ...{ ...base, id: 'test.f' },
      shouldRun: () => asked++ % 2 === 1,
      onRequestMessage: (message) => void seen.push(message),
      onEnd: () => void seen.push('end'),
    };
    const pipeline = await createInlinePipeline([filter]);
    await runCall(pipeline, createFakeCall(), { requests: [1, 2, 3] });
    assert.deepEqual({ asked, seen }, { asked: 1, seen: [] });
    await runCall(pipeline, createFakeCall(), { requests: [4, 5] });
    assert.deepEqual({ asked, seen }, { asked: 2, seen: [4, 5, 'end'] });
  });

  it('keeps a bounded number of chains however many unknown paths are called', async () => {
    const { snapshot } = await createInlinePipeline([anchor]);
    const unknown = (number: number) => createFakeCall({ known: false, service: `attack.S${number}` });
    const known = snapshot.chainFor(createFakeCall());
    const first = snapshot.chainFor(unknown(0));
    assert.equal(snapshot.chainFor(unknown(0)), first, 'is kept at first');
    for (let i = 1; i < 2000; i++) snapshot.chainFor(unknown(i));
    assert.notEqual(snapshot.chainFor(unknown(0)), first, 'has made room');
    assert.equal(snapshot.chainFor(createFakeCall()), known, 'known methods keep theirs');
  });
});
