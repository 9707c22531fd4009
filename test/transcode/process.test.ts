import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { createProgressParser, type FfmpegProgress } from '../../workers/transcode/ffmpeg/ffmpeg-progress.ts';
import { createOutputTail } from '../../workers/transcode/ffmpeg/output-tail.ts';
import { type RunProcessOptions, runProcess } from '../../workers/transcode/ffmpeg/run-process.ts';
import { startChildScript } from '../support/child-script.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { isAlive } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('child processes', () => {
  let temp: TempDir;
  before(async () => {
    temp = await createTempDir();
  });
  after(() => temp[Symbol.asyncDispose]());

  const searchPath = '/usr/local/bin:/usr/bin:/bin';
  const shell = (script: string, more: Partial<RunProcessOptions> = {}) =>
    runProcess({
      program: '/bin/sh',
      args: ['-c', script],
      cwd: temp.path,
      signal: new AbortController().signal,
      clock: systemClock,
      timeoutMs: 20_000,
      noProgressMs: 20_000,
      limits: { maxMemoryBytes: 1024 ** 3, maxFileBytes: 1_000_000 },
      searchPath,
      ...more,
    });

  /** Starts a shell with a grandchild and gives the grandchild's id. */
  async function grandchild(name: string): Promise<number> {
    const path = join(temp.path, name);
    await waitUntil('the grandchild started', async () =>
      (await readFile(path, 'utf8').catch(() => '')).endsWith('\n'),
    );
    return Number(await readFile(path, 'utf8'));
  }

  it('are killed as a group when they are aborted', async () => {
    const controller = new AbortController();
    const run = shell('sleep 300 & echo $! > aborted; wait', { signal: controller.signal });
    const pid = await grandchild('aborted');
    assert.ok(isAlive(pid));
    controller.abort();
    await assert.rejects(run, { name: 'AbortError' });
    await waitUntil('the grandchild died', () => !isAlive(pid));
  });

  it('are not started when the signal is aborted already', async () => {
    const run = shell('touch started', { signal: AbortSignal.abort() });
    await assert.rejects(run, { name: 'AbortError' });
    await assert.rejects(readFile(join(temp.path, 'started')));
  });

  it('are killed when they make no progress, and the failure may be retried', async () => {
    const clock = createFakeClock();
    const run = shell('sleep 300 & echo $! > stalled; wait', { clock, noProgressMs: 5000 });
    const refused = rejectsWith(run, Code.UNAVAILABLE, 'FFMPEG_STALLED');
    const pid = await grandchild('stalled');
    await clock.advance(5000);
    await refused;
    await waitUntil('the grandchild died', () => !isAlive(pid));
  });

  it('are killed at their time limit though they make progress', async () => {
    const clock = createFakeClock();
    let reports = 0;
    const onStdout = () => ++reports > 0;
    const run = shell('while :; do echo tick; sleep 0.01; done', {
      clock,
      onStdout,
      noProgressMs: 5000,
      timeoutMs: 6000,
    });
    const refused = rejectsWith(run, Code.DEADLINE_EXCEEDED, 'FFMPEG_TIMEOUT');
    await waitUntil('a report', () => reports > 0);
    await clock.advance(4000);
    const before = reports;
    await waitUntil('another report', () => reports > before);
    await clock.advance(2000);
    await refused;
  });

  it('cannot write files over their cap', async () => {
    const run = shell('exec head -c 2000000 /dev/zero > big');
    await rejectsWith(run, Code.RESOURCE_EXHAUSTED, 'OUTPUT_TOO_LARGE');
    assert.equal((await readFile(join(temp.path, 'big'))).length, 1_000_000);
  });

  it('run under their memory limit, without core dumps', async () => {
    let output = '';
    const onStdout = (chunk: Buffer) => {
      output += chunk.toString();
      return true;
    };
    await shell('ulimit -v; ulimit -c', { onStdout, limits: { maxMemoryBytes: 64 * 1024 ** 2, maxFileBytes: 1 } });
    assert.deepEqual(output.trim().split('\n'), ['65536', '0']);
  });

  it('see nothing of the parent environment', async () => {
    let output = '';
    const onStdout = (chunk: Buffer) => {
      output += chunk.toString();
      return true;
    };
    await shell('env', { onStdout });
    const names = output
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    const allowed = new Set([
      'PATH',
      'LC_ALL',
      'TMPDIR',
      'AV_LOG_FORCE_NOCOLOR',
      'SVT_LOG',
      'PWD',
      'OLDPWD',
      'SHLVL',
      '_',
    ]);
    assert.deepEqual(
      names.filter((name) => !allowed.has(name ?? '')),
      [],
    );
  });

  it('die with the worker that started them', async () => {
    const worker = startChildScript(new URL('children/run-sleeper.ts', import.meta.url), [temp.path]);
    try {
      await waitUntil('the sleeper started', () => worker.lines.length > 0);
      const pid = Number(worker.lines[0]);
      assert.ok(isAlive(pid), worker.errors());
      await worker.kill();
      await waitUntil('the sleeper died', () => !isAlive(pid));
    } finally {
      await worker.kill();
    }
  });

  it('give their exit code and error lines, bounded, with the first and the last kept', async () => {
    const script = 'echo first error >&2; i=0; while [ $i -lt 5000 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 3';
    const end = await shell(script, { maxStderrBytes: 4096 });
    assert.equal(end.exitCode, 3);
    assert.equal(end.errorLines[0], 'first error');
    assert.equal(end.errorLines.at(-1), 'line 4999');
    assert.ok(end.droppedStderrBytes > 40_000);
    assert.ok(end.errorLines.join('\n').length <= 4097);
  });

  it('that do not exist are FFMPEG_MISSING', async () => {
    const run = shell('', { program: join(temp.path, 'nothing'), args: [], searchPath: '' });
    await rejectsWith(run, Code.FAILED_PRECONDITION, 'FFMPEG_MISSING');
  });
});

describe('output tail', () => {
  it('keeps everything while it fits', () => {
    const tail = createOutputTail(100);
    tail.push(Buffer.from('one\ntw'));
    tail.push(Buffer.from('o\n'));
    assert.deepEqual(tail.lines(), ['one', 'two']);
    assert.equal(tail.droppedBytes, 0);
  });
});

describe('ffmpeg progress', () => {
  it('is read across chunk borders, and only growth counts as progress', () => {
    const reports: FfmpegProgress[] = [];
    const parser = createProgressParser((report) => reports.push(report));
    assert.equal(parser.push(Buffer.from('frame=10\nfps=25.5\nout_time_us=400000\ntotal_size=99\nprog')), false);
    assert.equal(parser.push(Buffer.from('ress=continue\n')), true);
    assert.equal(parser.push(Buffer.from('frame=10\nprogress=continue\n')), false);
    assert.equal(parser.push(Buffer.from('frame=12\nprogress=end\n')), true);
    assert.deepEqual(reports[0], { frames: 10, fps: 25.5, outTimeMs: 400, bytes: 99, done: false });
    assert.equal(reports.at(-1)?.done, true);
  });

  it('takes N/A for nothing', () => {
    const reports: FfmpegProgress[] = [];
    createProgressParser((report) => reports.push(report)).push(Buffer.from('out_time_us=N/A\nprogress=continue\n'));
    assert.equal(reports[0]?.outTimeMs, 0);
  });
});
