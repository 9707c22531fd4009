// Runs mocha with the flags that every test needs: no experimental warnings, the telemetry hook loaded first.
// Usage: node scripts/run-tests.js [mocha arguments]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const { status } = spawnSync(
  join(root, 'node_modules', 'node', 'bin', 'node'),
  [
    '--disable-warning=ExperimentalWarning',
    '--import',
    join(root, 'server', 'core', 'telemetry', 'preload.ts'),
    mocha,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? 1);
