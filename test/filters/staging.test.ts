import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { runCall } from './bed/run-call.ts';
import { answering, answerOf, refusedBy, sourceOf } from './bed/staged.ts';

describe('staging of filter versions', () => {
  it('takes a source through every check and leaves calls alone until it is promoted', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('folder'));
    const engine = await folders.engine();
    const { admin } = engine;
    const staged = await admin.stage([sourceOf('a', '1.1.0', answering('staged'))]);
    assert.deepEqual(
      staged.filters.map(({ id, version, stage, group }) => ({ id, version, stage, group })),
      [{ id: 'test.a', version: '1.1.0', stage: 'staged', group: staged.group }],
    );
    assert.match(staged.filters[0]?.hash ?? '', /^[0-9a-f]{64}$/);
    assert.equal(await answerOf(engine), 'folder');
    const promoted = await admin.promote(staged.group, { stage: 'active', share: 0, principals: [] });
    assert.equal(promoted[0]?.stage, 'active');
    assert.equal(await answerOf(engine), 'staged');
    const again = await admin.promote(staged.group, { stage: 'active', share: 0, principals: [] });
    assert.equal(again[0]?.stage, 'active', 'a second time changes nothing');
    assert.equal(admin.snapshot, 2);
    assert.deepEqual(
      admin.list().map(({ version, stage, explanation }) => [version, stage, explanation]),
      [
        ['1.0.0', 'staged', `covered by 1.1.0 of group ${staged.group}; open for a rollback`],
        ['1.1.0', 'active', 'promoted'],
      ],
    );
    const back = await admin.rollback(staged.group, 'too loud');
    assert.deepEqual(
      back.map(({ version, stage }) => [version, stage]),
      [['1.0.0', 'active']],
    );
    assert.equal(await answerOf(engine), 'folder');
    const past = admin.get('test.a', '1.1.0');
    assert.deepEqual([past.stage, past.explanation], ['rolled_back', 'too loud']);
    await admin.rollback(staged.group, 'again');
    await refusedBy('stage', admin.promote(staged.group, { stage: 'active', share: 0, principals: [] }), /has ended/);
  });

  it('moves a group of filters as one, also back', async () => {
    await using folders = await createFilterFolders();
    const word = (text: string) => `onRequestMessage: (message) => message + ' ${text}',`;
    await folders.filter('a', word('a1'));
    await folders.filter('b', `${word('b1')} order: 1,`);
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([
      sourceOf('a', '2.0.0', word('a2')),
      sourceOf('b', '2.0.0', `${word('b2')} order: 1,`),
      sourceOf('c', '2.0.0', `${word('c2')} order: 2,`),
    ]);
    assert.equal(await answerOf(engine), 'request a1 b1');
    const before = engine.snapshot().version;
    await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    assert.equal(await answerOf(engine), 'request a2 b2 c2');
    await engine.admin.rollback(group, '');
    assert.equal(await answerOf(engine), 'request a1 b1');
    assert.equal(engine.snapshot().version, before + 2, 'one step each');
  });

  it('stages all of a group or none, and closes what it had opened', async () => {
    await using folders = await createFilterFolders();
    Object.assign(globalThis, { closedStaged: [] });
    const engine = await folders.engine();
    const good = sourceOf(
      'a',
      '1.0.0',
      "run: () => {}, open: () => 'a', close: (s) => void globalThis.closedStaged.push(s),",
    );
    await refusedBy(
      'open',
      engine.admin.stage([good, sourceOf('b', '1.0.0', "run: () => {}, open: () => { throw new Error('no'); },")]),
    );
    assert.deepEqual((globalThis as { closedStaged?: unknown }).closedStaged, ['a']);
    assert.deepEqual(engine.admin.list(), []);
    await refusedBy('shape', engine.admin.stage([good, good]), /twice/);
  });

  const refusals: [string, string, { id: string; source: string }, RegExp][] = [
    ['parse', 'syntax', sourceOf('a', '2.0.0', 'run: {{{'), /parse/],
    ['parse', 'types that are not erasable', sourceOf('a', '2.0.0', 'run: () => {},', 'enum E { A }'), /enum/],
    [
      'import',
      'a throw at the top',
      sourceOf('a', '2.0.0', 'run: () => {},', "throw new Error('at the top');"),
      /at the top/,
    ],
    [
      'import',
      'a missing package',
      sourceOf('a', '2.0.0', 'run: () => {},', "import 'no-such-package';"),
      /no-such-package/,
    ],
    ['import', 'another file', sourceOf('a', '2.0.0', 'run: () => {},', "import './b.ts';"), /no other files/],
    ['import', 'a loop at the top', sourceOf('a', '2.0.0', 'run: () => {},', 'for (;;);'), /import took over 3000 ms/],
    ['import', 'a process that exits', sourceOf('a', '2.0.0', 'run: () => {},', 'process.exit(3);'), /exited|gone/],
    ['shape', 'a field of the wrong kind', sourceOf('a', '2.0.0', "run: 'no',"), /run: expected a function/],
    ['shape', 'no export', { id: 'test.a', source: 'export const other = 1;' }, /export const filter/],
    ['shape', 'another id', { ...sourceOf('b', '2.0.0', 'run: () => {},'), id: 'test.a' }, /is of filter test\.b/],
    ['version', 'a version that is there', sourceOf('a', '1.0.0', 'run: () => {},'), /loaded already/],
    ['config', 'a configuration without a schema', sourceOf('a', '2.0.0', 'run: () => {},'), /takes none/],
    [
      'open',
      'an open that hangs',
      sourceOf(
        'a',
        '2.0.0',
        'run: () => {}, open: () => new Promise(() => {}), config: schema.shape({ n: schema.number(0, 9) }),',
      ),
      /open took over 3000 ms/,
    ],
    [
      'self-test',
      'a case that comes out otherwise',
      sourceOf(
        'a',
        '2.0.0',
        "run: () => {}, config: schema.shape({ n: schema.number(0, 9) }), selfTest: [{ name: 'refuses all', expect: { refuses: 'NO' } }],",
      ),
      /"refuses all": expected refuses NO, got passes/,
    ],
  ];
  for (const [check, what, source, message] of refusals) {
    it(`refuses ${what} by the check "${check}", and the old set serves on`, async () => {
      await using folders = await createFilterFolders();
      await folders.filter('a', `${answering('old')} config: schema.shape({ n: schema.number(0, 9) }),`);
      // Only where the time is what is tested: the thread of the import may be slow to start.
      const openTimeoutMs = message.source.includes('took over') ? 3000 : 60_000;
      const engine = await folders.engine({ openTimeoutMs, config: { 'test.a': { n: 1 } } });
      await refusedBy(check, engine.admin.stage([source]), message);
      assert.equal(await answerOf(engine), 'old');
      assert.equal(engine.admin.list().length, 1);
    });
  }

  it('requires a signature by a configured key, over exactly this source', async () => {
    await using folders = await createFilterFolders();
    const keys = generateKeyPairSync('ed25519');
    const others = generateKeyPairSync('ed25519');
    const signersFile = join(folders.path, '.signers.pem');
    writeFileSync(signersFile, keys.publicKey.export({ type: 'spki', format: 'pem' }));
    const engine = await folders.engine({ signersFile });
    const source = sourceOf('a', '1.0.0', answering('signed'));
    const signed = (key: typeof keys.privateKey, text = source.source) => sign(null, Buffer.from(text), key);
    await refusedBy('signature', engine.admin.stage([source]), /missing/);
    await refusedBy('signature', engine.admin.stage([{ ...source, signature: signed(others.privateKey) }]));
    const changed = { ...source, source: `${source.source} `, signature: signed(keys.privateKey) };
    await refusedBy('signature', engine.admin.stage([changed]), /another source/);
    const { group } = await engine.admin.stage([{ ...source, signature: signed(keys.privateKey) }]);
    await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    assert.equal(await answerOf(engine), 'signed');
    await using bare = await createFilterFolders();
    const unsigned = await bare.engine();
    await refusedBy(
      'signature',
      unsigned.admin.stage([{ ...source, signature: signed(keys.privateKey) }]),
      /no signer keys/,
    );
    writeFileSync(signersFile, 'nothing');
    await assert.rejects(folders.engine({ signersFile }), { reason: 'FILTER_LOAD_FAILED' });
  });

  it('finds no group and no filter that is not there', async () => {
    await using folders = await createFilterFolders();
    const { admin } = await folders.engine();
    const missing = { code: Code.NOT_FOUND, reason: 'FILTER_NOT_FOUND' };
    await assert.rejects(admin.promote('nope', { stage: 'active', share: 0, principals: [] }), missing);
    await assert.rejects(admin.rollback('nope', ''), missing);
    await assert.rejects(admin.setDisabled('test.nope', true), missing);
    await assert.rejects(admin.setConfig('test.nope', {}), missing);
    assert.throws(() => admin.get('test.nope'), missing);
  });

  it('keeps a call on the version it began with through promotion and rollback, then closes it', async () => {
    await using folders = await createFilterFolders();
    Object.assign(globalThis, { closedStaged: [] });
    const engine = await folders.engine();
    const versioned = (version: string) =>
      sourceOf(
        'a',
        version,
        `open: () => '${version}', close: (state) => void globalThis.closedStaged.push(state),
        onResponseMessage: (message, call, { state }) => message + '<' + state,`,
      );
    const promote = async (version: string) => {
      const { group } = await engine.admin.stage([versioned(version)]);
      await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
      return group;
    };
    await promote('1.0.0');
    const second = await promote('2.0.0');
    const gate = Promise.withResolvers<readonly unknown[]>();
    const running = runCall(engine, createFakeCall(), { endpoint: () => gate.promise });
    assert.equal(engine.admin.get('test.a').callsInFlight, 1);
    await engine.admin.rollback(second, '');
    assert.equal(await answerOf(engine), 'request<1.0.0');
    assert.deepEqual((globalThis as { closedStaged?: unknown }).closedStaged, []);
    gate.resolve(['late']);
    assert.deepEqual((await running).responses, ['late<2.0.0']);
    await waitUntil(
      'the version is closed',
      () => ((globalThis as { closedStaged?: string[] }).closedStaged ?? []).length === 1,
    );
    assert.deepEqual((globalThis as { closedStaged?: unknown }).closedStaged, ['2.0.0']);
  });

  it('keeps few covered versions open, and closes older ones', async () => {
    await using folders = await createFilterFolders();
    const engine = await folders.engine();
    for (let minor = 0; minor < 9; minor++) {
      const { group } = await engine.admin.stage([sourceOf('a', `1.${minor}.0`, answering(String(minor)))]);
      await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    }
    assert.equal(await answerOf(engine), '8');
    assert.equal(engine.admin.list().length, 6);
    assert.equal(engine.admin.get('test.a', '1.0.0').stage, 'closed');
  });
});
