// Fails when proto/gen is not what `buf generate` makes of the contract now. Usage: node scripts/check-proto-gen.js
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

const work = mkdtempSync(join(tmpdir(), 'showrunner-proto-'));
try {
  for (const name of ['buf.yaml', 'buf.gen.yaml', 'proto']) {
    cpSync(join(root, name), join(work, name), {
      recursive: true,
      filter: (path) => relative(root, path) !== join('proto', 'gen'),
    });
  }
  const bin = join(root, 'node_modules', '.bin');
  const buf = spawnSync(join(bin, 'buf'), ['generate'], {
    cwd: work,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  if (buf.status !== 0) process.exit(1);
  const fresh = join(work, 'proto', 'gen');
  const kept = join(root, 'proto', 'gen');
  const names = new Set([...filesOf(fresh), ...filesOf(kept)]);
  const stale = [...names].filter((name) => {
    try {
      return !readFileSync(join(fresh, name)).equals(readFileSync(join(kept, name)));
    } catch {
      return true;
    }
  });
  if (stale.length > 0) {
    process.stderr.write(`proto/gen is stale, run "npm run proto":\n${stale.map((name) => `  ${name}\n`).join('')}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
