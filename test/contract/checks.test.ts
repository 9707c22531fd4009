import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';

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
  it('has import rules that are those of the table', () => run('node', 'scripts/write-import-rules.ts', '--check'));
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

  it('breaks no caller of main; on main itself, of the commit before', function () {
    const main = commitOf('main');
    const isChanged = git('status', '--porcelain', 'proto/showrunner') !== '';
    const base = main !== commitOf('HEAD') ? main : isChanged ? main : commitOf('HEAD~1');
    // A shallow or exported tree has nothing to compare with.
    if (base === '') this.skip();
    run('buf', 'breaking', '--against', `.git#ref=${base},depth=1000`);
  });
});

/** What git prints; empty where it fails. */
function git(...args: string[]): string {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

/** The full id of a commit; empty where there is none of this name. */
function commitOf(name: string): string {
  return git('rev-parse', '--verify', '-q', `${name}^{commit}`);
}
