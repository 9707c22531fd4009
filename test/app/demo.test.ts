import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runShowrunner, startShowrunner } from '../support/showrunner.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

/** What the issue of the demo allows on two cores. */
const longestMs = 180_000;

describe('the demo', function () {
  this.timeout(longestMs);

  let temp: TempDir;
  before(async () => {
    temp = await createTempDir();
  });
  after(() => temp[Symbol.asyncDispose]());

  it('takes a title and a member through every service and shows what happened', async () => {
    const startedAt = performance.now();
    const { code, output, errors } = await runShowrunner(['demo', '--exit'], {
      SHOWRUNNER_STATE_DIR: join(temp.path, 'whole'),
    });
    assert.equal(code, 0, `${output}\n${errors}`);
    assert.ok(performance.now() - startedAt < longestMs);

    const lines = output.split('\n');
    const steps = lines.filter((line) => /^\S.* \d+\.\d\d s {2}\S/.test(line));
    assert.deepEqual(
      steps.map((line) => line.split(/ {2,}/)[0]),
      [
        'open the devices',
        'import ratings',
        'train and publish the ranker',
        'transcode the title',
        'tell the member',
        'run the metrics notebook',
        'find where to play',
        'play both manifests',
        'play as a member',
        'cache the page',
      ],
    );
    const step = (name: string) => steps.find((line) => line.startsWith(name)) ?? '';
    assert.match(step('import ratings'), /100836 ratings by 610 members/);
    assert.match(step('transcode the title'), /132 frames at 25\/1/);
    assert.match(step('play both manifests'), /HLS 132 frames, DASH 132 frames/);

    assert.match(output, /^ *before \(.*\) +after \(.*\)/m);
    assert.ok(lines.filter((line) => /^ *[1-8] {2}\S.* {2}\S/.test(line)).length >= 8, 'eight titles before and after');

    const [, traceId, spans] = /^trace ([0-9a-f]{32}), (\d+) spans$/m.exec(output) ?? [];
    assert.ok(traceId !== undefined && Number(spans) > 50, `trace ${traceId} of ${spans} spans`);
    for (const span of [
      'JobService/CreateJob  [server]',
      'job encode-chunk  [worker-',
      'notification.push  [server]',
    ]) {
      assert.ok(output.includes(span), span);
    }

    assert.match(output, /^HLS master +http:\/\/127\.0\.0\.1:\d+\/\S+\.m3u8$/m);
    const notebook = /^output notebook +(\S+)$/m.exec(output)?.[1] ?? '';
    const { cells } = JSON.parse(await readFile(notebook, 'utf8')) as { cells: unknown[] };
    assert.ok(cells.length > 3);
    assert.equal(lines.filter((line) => /^ {2}grpcurl -plaintext /.test(line)).length, 3);
    assert.ok(!errors.includes('"level":"error"'), errors);
  });

  it('tells by its exit code and a line that a step failed, and which', async () => {
    const { code, output } = await runShowrunner(['demo', '--exit'], {
      SHOWRUNNER_STATE_DIR: join(temp.path, 'broken'),
      SHOWRUNNER_FFMPEG: '/nonexistent',
      // What is told of the trace must not hide the failure.
      SHOWRUNNER_TRACES_KEPT: '0',
    });
    assert.equal(code, 1, output);
    assert.match(output, /^transcode the title +\d+\.\d\d s +FAILED$/m);
    assert.match(output, /^FAILED: .*FFMPEG_MISSING.*\/nonexistent/m);
    assert.match(output, /^no trace: .*SHOWRUNNER_TRACES_KEPT/m);
    assert.ok(!output.includes('grpcurl -plaintext'), 'nothing to try');
  });

  it('ends its server and workers in order when it is interrupted at its work', async () => {
    await using child = startShowrunner(['demo'], { SHOWRUNNER_STATE_DIR: join(temp.path, 'interrupted') });
    const isTraining = () => child.lines.includes('train and publish the ranker');
    await waitUntil('the training', isTraining, 60_000);
    child.process.kill('SIGINT');
    // Its output ends with the last of its workers.
    assert.equal(await child.ended, 130, child.lines.join('\n'));
    assert.match(child.lines.join('\n'), /^SIGINT: ending the server and its workers$/m);
    assert.equal(child.errors(), '');
  });
});
