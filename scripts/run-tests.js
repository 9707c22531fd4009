// Runs mocha with the flags that every test needs: no experimental warnings, the telemetry hook loaded first.
// Usage: node scripts/run-tests.js [test files or globs] [mocha arguments]; without files all tests, as .mocharc.json says.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');

/** Mocha adds the files it is given to those of its configuration; here they are meant in place of them. */
function withFilesAlone(args) {
  if (args.includes('--no-config') || !args.some((arg) => /^[^-].*\.test\.ts$/.test(arg))) return args;
  const { reporter, timeout, slow } = JSON.parse(readFileSync(join(root, '.mocharc.json'), 'utf8'));
  return ['--no-config', `--reporter=${reporter}`, `--timeout=${timeout}`, `--slow=${slow}`, ...args];
}

const { status } = spawnSync(
  join(root, 'node_modules', 'node', 'bin', 'node'),
  [
    '--disable-warning=ExperimentalWarning',
    '--import',
    join(root, 'server', 'core', 'telemetry', 'preload.ts'),
    mocha,
    ...withFilesAlone(process.argv.slice(2)),
  ],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? 1);
