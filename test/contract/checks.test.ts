import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
// The import table plants files in the tree, which these checks must not see: one process runs both, in turn.
import './import-table.ts';

const root = join(import.meta.dirname, '../..');
const bin = join(root, 'node_modules', '.bin');

/** Runs a tool of the project in the root; its output is the failure message. */
function run(command: string, ...args: string[]): void {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}` };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', env });
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
}

describe('the code', () => {
  it('type-checks', () => run('tsc', '--noEmit'));
  it('is linted and formatted', () => run('biome', 'check', '--error-on-warnings', '.'));
});

describe('README', () => {
  it('lists the settings as the configuration table has them', () =>
    run('node', 'scripts/write-config-docs.ts', '--check'));
});

describe('the contract', () => {
  const vendored = ['--exclude-path', 'proto/google', '--exclude-path', 'proto/grpc'];

  it('passes buf lint', () => run('buf', 'lint'));
  it('is formatted', () => run('buf', 'format', '-d', '--exit-code', ...vendored));
  it('has generated code that is fresh', () => run('node', 'scripts/check-proto-gen.js'));

  it('breaks no caller of the last commit on main', function () {
    const has = spawnSync('git', ['rev-parse', '--verify', '-q', 'main:proto/showrunner'], { cwd: root });
    // A shallow or exported tree has no main branch to compare with.
    if (has.status !== 0) this.skip();
    run('buf', 'breaking', '--against', '.git#branch=main');
  });
});
