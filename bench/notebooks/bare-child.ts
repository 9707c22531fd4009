import { spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Dealer, Subscriber } from 'zeromq';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';
import { reserveLoopbackPorts } from '../../notebooks-runner/kernel/loopback-ports.ts';
import { systemRandom } from '../../server/core/random.ts';

/**
 * The least that a client of a kernel can do: starts it, sends the code cells, waits for reply and idle of each, and on
 * Deno for a printed mark, without which output is lost; then kills it. Nothing is checked, kept, written or watched.
 * `bare-child.ts <notebook> <kernel> <folder> [kernelspec folder]`
 */
const [notebookPath = '', kernelName = '', dir = '', specs] = process.argv.slice(2);
const spec = await findKernelspec(kernelName, { dirs: specs === undefined ? [] : [specs] });
const { ports } = await reserveLoopbackPorts(5, systemRandom);
const [shellPort = 0, iopubPort = 0, stdinPort = 0, controlPort = 0, heartbeatPort = 0] = ports;
const key = randomUUID();
const connection = {
  ...{ transport: 'tcp', ip: '127.0.0.1', key, signature_scheme: 'hmac-sha256', kernel_name: kernelName },
  ...{ shell_port: shellPort, iopub_port: iopubPort, stdin_port: stdinPort },
  ...{ control_port: controlPort, hb_port: heartbeatPort },
};
const path = join(dir, 'bare.json');
writeFileSync(path, JSON.stringify(connection), { mode: 0o600 });
const [program = '', ...args] = spec.argv.map((part) => part.replace('{connection_file}', path));
const env = { PATH: process.env['PATH'] ?? '', HOME: dir, ...spec.env };
const kernel = spawn(program, args, { env, cwd: dir, stdio: 'ignore' });
const options = { linger: 0, reconnectInterval: 10, receiveHighWaterMark: 0 };
const shell = new Dealer(options);
const iopub = new Subscriber(options);
shell.connect(`tcp://127.0.0.1:${shellPort}`);
iopub.connect(`tcp://127.0.0.1:${iopubPort}`);
iopub.subscribe();

/** What is awaited, by what ends it: `reply:<id>`, `idle:<id>`, `mark:<text>`. */
const awaited = new Map<string, () => void>();
const until = (name: string) => new Promise<void>((resolve) => awaited.set(name, resolve));
const reached = (name: string) => awaited.get(name)?.();
const isDeno = spec.dialect === 'deno';
let hasTopic = false;

function receive(frames: Buffer[]): void {
  const at = frames.findIndex((frame) => frame.equals(Buffer.from('<IDS|MSG>')));
  const [header, parent, , content] = frames
    .slice(at + 2, at + 6)
    .map((frame) => JSON.parse(String(frame)) as Record<string, string>);
  if (header?.['msg_type']?.endsWith('_reply')) reached(`reply:${parent?.['msg_id']}`);
  else if (content?.['execution_state'] === 'idle') reached(`idle:${parent?.['msg_id']}`);
  else if (header?.['msg_type'] === 'stream') reached(`mark:${content?.['text']?.trim()}`);
}
for (const socket of [shell, iopub]) {
  void (async () => {
    for await (const frames of socket) {
      // Makes the system acknowledge at once, without which Deno waits 40 ms: see kernel-channels.ts.
      if (isDeno && socket === iopub) {
        if (hasTopic) iopub.unsubscribe('x');
        else iopub.subscribe('x');
        hasTopic = !hasTopic;
      }
      receive(frames);
    }
  })().catch(() => {});
}

async function ask(type: string, content: object): Promise<void> {
  const id = randomUUID();
  const header = { msg_id: id, session: key, username: '', date: '', msg_type: type, version: '5.3' };
  const parts = [header, {}, {}, content].map((part) => Buffer.from(JSON.stringify(part)));
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  const ended = Promise.all([until(`reply:${id}`), until(`idle:${id}`)]);
  await shell.send(['<IDS|MSG>', hmac.digest('hex'), ...parts]);
  await ended;
}

const run = (code: string) => ask('execute_request', { code, silent: false, store_history: true, allow_stdin: false });
// The kernel's first words are lost where it speaks before we listen: asked again until it is heard.
const asked: Promise<boolean>[] = [];
do {
  asked.push(ask('kernel_info_request', {}).then(() => true));
} while (!(await Promise.race([...asked, sleep(20, false)])));
const { cells } = JSON.parse(readFileSync(notebookPath, 'utf8')) as { cells: { source: string }[] };
for (const [index, { source }] of cells.entries()) {
  await run(source);
  if (!isDeno) continue;
  const mark = until(`mark:m${index}`);
  await run(`console.log("m${index}")`);
  await mark;
}
const gone = once(kernel, 'exit');
kernel.kill('SIGKILL');
await gone;
process.exit();
