import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { findFreePort } from '../support/free-port.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

const root = join(import.meta.dirname, '../..');

interface Block {
  readonly how: 'run' | 'serve';
  readonly script: string;
}

/** The blocks of a document that are marked `sh run` or `sh serve`. */
function blocksOf(markdown: string): Block[] {
  const pattern = /^```sh (run|serve)\n([\s\S]*?)^```$/gm;
  return [...markdown.matchAll(pattern)].map(([, how, script = '']) => ({ how: how as Block['how'], script }));
}

describe('the tutorial in docs/filters.md', () => {
  it('works, command by command, against a real server', async function () {
    this.timeout(120_000);
    const blocks = blocksOf(await readFile(join(root, 'docs/filters.md'), 'utf8'));
    assert.ok(blocks.length >= 7, `${blocks.length} blocks`);
    await using dir = await createTempDir();
    const bin = join(dir.path, 'bin');
    await mkdir(bin);
    await writeFile(
      join(bin, 'showrunner'),
      `#!/bin/sh\nexec '${process.execPath}' '${root}/scripts/showrunner.js' "$@"\n`,
    );
    await chmod(join(bin, 'showrunner'), 0o755);
    const env = {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
      SHOWRUNNER_STATE_DIR: join(dir.path, 'state'),
      SHOWRUNNER_ADDRESS: `127.0.0.1:${await findFreePort()}`,
      SHOWRUNNER_ORIGIN_ADDRESS: '127.0.0.1:0',
      SHOWRUNNER_WORKERS: '0',
    };
    const start = (script: string) =>
      spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: dir.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let server: ReturnType<typeof start> | undefined;
    let serverLog = '';
    try {
      for (const { how, script } of blocks) {
        if (how === 'serve') {
          // The shell gives its place to the command, so that a signal reaches the server itself.
          server = start(script.replace(/^(\w+=\S+ )*showrunner/m, 'env $&').replace(/^/, 'exec '));
          server.stderr?.on('data', (chunk: Buffer) => {
            serverLog += chunk;
          });
          await waitUntil(
            'the server listens',
            () => {
              assert.equal(server?.exitCode, null, serverLog.slice(-2000));
              return serverLog.includes('"message":"serving"');
            },
            30_000,
          );
          continue;
        }
        const child = start(script);
        let output = '';
        for (const stream of [child.stdout, child.stderr]) {
          stream?.on('data', (chunk: Buffer) => {
            output += chunk;
          });
        }
        const [code] = await once(child, 'close');
        assert.equal(code, 0, `${script}\n${output}\n${serverLog.slice(-2000)}`);
      }
    } finally {
      server?.kill('SIGTERM');
      if (server !== undefined && server.exitCode === null) await once(server, 'close');
    }
    assert.equal(server?.exitCode, 0, serverLog.slice(-2000));
  });
});
