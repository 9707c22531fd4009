// Compiles server/ranking/kernels/assembly (AssemblyScript) into the committed kernels.wasm.
// `--check` compiles again and fails when the committed bytes differ. Compiler and flags are pinned, so the
// bytes are the same on every machine.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'server', 'ranking', 'kernels', 'kernels.wasm');
const compiler = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin', 'asc.js');
// The memory is imported and shared, so that one memory can be mapped by several threads and swapped as a whole.
// Relaxed SIMD stays off: fused multiply-add differs between processors, and models must not.
const flags = [
  '-O3',
  '--converge',
  '--noAssert',
  '--runtime=stub',
  '--enable=simd',
  '--enable=threads',
  '--importMemory',
  '--noExportMemory',
  '--sharedMemory',
  '--initialMemory=1',
  '--maximumMemory=65536',
];

function compile() {
  const folder = mkdtempSync(join(tmpdir(), 'showrunner-kernels-'));
  try {
    const out = join(folder, 'kernels.wasm');
    const entry = join('server', 'ranking', 'kernels', 'assembly', 'index.ts');
    const result = spawnSync(process.execPath, [compiler, entry, '--outFile', out, ...flags], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (result.status !== 0) throw new Error(`asc ended with status ${result.status}`);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const built = compile();
const isFresh = existsSync(target) && readFileSync(target).equals(built);
if (process.argv.includes('--check')) {
  if (!isFresh) {
    process.stderr.write('kernels.wasm differs from its source; run: node scripts/build-kernels.js\n');
    process.exit(1);
  }
} else if (!isFresh) {
  writeFileSync(target, built);
}
process.stdout.write(`kernels.wasm: ${built.length} bytes, ${isFresh ? 'unchanged' : 'written'}\n`);
