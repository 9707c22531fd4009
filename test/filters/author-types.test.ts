import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '../..');

const good = `import { AppError, Code, contextKey, defineFilter, type Schema, schema, type SelfTest } from 'showrunner/filter';
const seen = contextKey<number>('seen');
const even: Schema<number> = { expects: 'an even number', read: (raw) => Number(raw), show: (raw) => raw };
const cases: SelfTest[] = [{ name: 'passes', call: { kind: 'unary', principal: { id: 'a' } }, expect: 'passes' }];
export const filter = defineFilter({
  id: 'my.guard', version: '1.0.0', description: 'Guards.', type: 'inbound', order: 1, category: 'abuse',
  needs: 'body', maxBodyBytes: 1000, isolation: 'none', selfTest: cases, failurePolicy: 'open', timeoutMs: 5,
  match: { services: ['a.*'], kinds: ['unary'], metadata: { x: true, y: ['1'] }, percent: 5 },
  config: schema.shape({ limit: even, key: schema.secret(schema.text()) }),
  open: async ({ limit, key }, { signal }) => ({ limit, size: key.length, signal }),
  close: async (state) => void state.size,
  shouldRun: (call, { state }) => (seen.get(call) ?? 0) < state.limit,
  run: (call, { config }) => {
    seen.set(call, config.limit);
    if (config.key === '') throw new AppError({ code: Code.ABORTED, reason: 'X', message: 'x' });
    return call.known ? undefined : { messages: [1] };
  },
  onRequestBody: (messages, _call, { state }) => (messages.length > state.size ? { messages: [] } : undefined),
});
export const stream = defineFilter({
  id: 'my.stream', version: '1.0.0', type: 'endpoint', order: 1, category: 'routing',
  run: () => ({ encoding: 'bytes', respond: (requests) => requests }),
});
`;

/** A statement, and what the compiler must say of it. */
const bad: [string, RegExp][] = [
  ["defineFilter({ ...base, type: 'sideways', run: () => {} });", /sideways/],
  ["defineFilter({ ...base, type: 'inbound', run: () => 5 });", /number/],
  ["defineFilter({ ...base, type: 'inbound', needs: 'all', run: () => {} });", /"all"/],
  ["defineFilter({ ...base, type: 'inbound', isolation: 'vm', run: () => {} });", /"vm"/],
  ["defineFilter({ ...base, type: 'inbound', order: '1', run: () => {} });", /string/],
  ["defineFilter({ ...base, type: 'inbound', selfTest: [{ name: 'x' }], run: () => {} });", /expect/],
  ["defineFilter({ ...base, type: 'inbound', selfTest: [{ name: 'x', expect: 'wins' }], run: () => {} });", /wins/],
  ["defineFilter({ ...base, type: 'inbound', onRequestBody: () => ({ encoding: 'bytes' }) });", /messages/],
  [
    "defineFilter({ ...base, type: 'inbound', config: schema.shape({ n: schema.flag() }), run: (_c, { config }) => void (config.n + 1) });",
    /boolean/,
  ],
  ["defineFilter({ ...base, type: 'inbound', open: () => ({ n: 1 }), run: (_c, { state }) => void state.m });", /'m'/],
  ["defineFilter({ ...base, type: 'outbound', run: () => ({ messages: [] }) });", /messages/],
  ["defineFilter({ ...base, type: 'error', run: (_c, _x, error) => error.reason });", /string/],
  ["defineFilter({ ...base, type: 'inbound', run: (call) => void (call.path = '/x') });", /read-only/],
  ["defineFilter({ ...base, type: 'inbound', shouldRun: async () => true });", /Promise/],
  ["defineFilter({ ...base, type: 'inbound', onMessage: () => {} });", /onMessage/],
  ["contextKey<number>('n').set({} as Call, 'text');", /number/],
  ['schema.secret(5);', /Schema/],
];

describe('code of authors against the types of the contract', () => {
  it('compiles when it is good, and each fault is an error in its own line', async () => {
    await using dir = await createTempDir();
    const base = "const base = { id: 'my.a', version: '1.0.0', order: 0, category: 'context' } as const;";
    const head = `import { type Call, contextKey, defineFilter, schema } from 'showrunner/filter'; ${base}\n`;
    await writeFile(join(dir.path, 'good.ts'), good);
    await writeFile(join(dir.path, 'bad.ts'), head + bad.map(([line]) => line).join('\n'));
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        paths: { 'showrunner/filter': [join(root, 'plugins/engine/filter.ts')] },
        types: ['node'],
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: ['*.ts'],
      exclude: [],
    };
    await writeFile(join(dir.path, 'package.json'), '{"type":"module"}');
    await writeFile(join(dir.path, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(root, 'node_modules/.bin/tsc');
    const output = await new Promise<string>((resolve) => {
      execFile(tsc, ['-p', dir.path, '--pretty', 'false'], { cwd: dir.path }, (_error, stdout) => resolve(stdout));
    });
    const byLine = new Map<number, string>();
    let line = 0;
    for (const text of output.split('\n')) {
      const match = /^(?:.*\/)?(\w+\.ts)\((\d+),/.exec(text);
      if (match !== null) {
        assert.equal(match[1], 'bad.ts', text);
        line = Number(match[2]);
      }
      byLine.set(line, `${byLine.get(line) ?? ''}${text}\n`);
    }
    for (const [index, [statement, message]] of bad.entries()) {
      assert.match(byLine.get(index + 2) ?? 'no error', message, statement);
    }
  });

  it('resolves from a project elsewhere that has showrunner installed, for the compiler and for Node', async () => {
    await using dir = await createTempDir();
    await mkdir(join(dir.path, 'node_modules'));
    await symlink(root, join(dir.path, 'node_modules/showrunner'));
    await symlink(join(root, 'node_modules/@types'), join(dir.path, 'node_modules/@types'));
    await writeFile(join(dir.path, 'package.json'), '{ "type": "module" }');
    await mkdir(join(dir.path, 'guard'));
    await writeFile(
      join(dir.path, 'guard/filter.ts'),
      `import { defineFilter } from 'showrunner/filter';
export const filter = defineFilter({ id: 'my.guard', version: '1.0.0', type: 'inbound', order: 0, category: 'access',
  run: (call) => void call.responseHeaders.set('x-seen', call.path) });
`,
    );
    await writeFile(
      join(dir.path, 'try.ts'),
      `import { openFilterKit } from 'showrunner/filter-kit';
const kit = await openFilterKit(import.meta.dirname + '/guard');
const { call } = await kit.take();
process.stdout.write(String(call.responseHeaders.get('x-seen')));
`,
    );
    const flags = ['--module', 'nodenext', '--target', 'esnext', '--strict', '--noEmit', '--skipLibCheck'];
    const own = [
      '--allowImportingTsExtensions',
      '--erasableSyntaxOnly',
      '--types',
      'node',
      'try.ts',
      'guard/filter.ts',
    ];
    const run = promisify(execFile);
    await run(join(root, 'node_modules/.bin/tsc'), [...flags, ...own], { cwd: dir.path });
    const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', 'try.ts'], {
      cwd: dir.path,
    });
    assert.equal(stdout, '/selftest.Service/Method');
  });
});
