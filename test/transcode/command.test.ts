import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { TranscodeService } from '../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { startShowrunner } from '../support/showrunner.ts';
import { waitUntil } from '../support/wait-until.ts';
import { makeSource, numberedFrames, sourceCodec } from './sources.ts';

describe('showrunner transcode', function () {
  this.timeout(longestTestMs);

  let server: RunningServer;
  let client: RpcClient<typeof TranscodeService>;
  before(async () => {
    server = await startServer({ workers: 1 });
    client = createRpcClient(TranscodeService, {
      address: server.address,
      metadata: { 'x-api-key': server.apiKey },
    });
  });
  after(async () => {
    client.close();
    await server[Symbol.asyncDispose]();
  });

  const start = (...args: string[]) =>
    startShowrunner(['transcode', ...args, '--address', server.address], { SHOWRUNNER_STATE_DIR: server.stateDir });
  const run = async (...args: string[]) => {
    const child = start(...args);
    return { code: await child.ended, output: child.lines.join('\n'), errors: child.errors() };
  };
  const shortSource = () =>
    makeSource('A Short Film.mp4', ['-f', 'lavfi', '-i', numberedFrames('25/1', 2), ...sourceCodec]);
  const longerSource = () => makeSource('long.mp4', ['-f', 'lavfi', '-i', numberedFrames('25/1', 6), ...sourceCodec]);

  it('uploads, transcodes, and prints the checks and where the title plays', async () => {
    const { code, output, errors } = await run(await shortSource());
    assert.deepEqual([code, errors], [0, '']);
    assert.match(output, /^ {2}source: upload/m);
    assert.match(output, /^ {2}title: encode/m);
    assert.match(output, /^frame_count +ok +50 frames in each of 1 rungs$/m);
    const hls = output.match(/^HLS {3}(\S+master\.m3u8)$/m)?.[1] ?? '';
    const answer = await fetch(hls);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^#EXTM3U/);
    assert.match(output, /^titles\/a-short-film\/encodeSets\/v[0-9a-f]{16}$/m);
  });

  it('sends nothing twice, and shows the same transcode through the service', async () => {
    const params = '{"loudnessLufs": -16}';
    const { code, output, errors } = await run(await shortSource(), '--title', 'titles/again', '--params', params);
    assert.deepEqual([code, errors], [0, '']);
    assert.ok(!output.includes('MB'), output);
    const name = output.match(/transcodes\/[a-z0-9]+/)?.[0] ?? '';
    const { transcode } = await client.getTranscode({ name });
    assert.deepEqual([transcode?.title, transcode?.state], ['titles/again', Job_State.SUCCEEDED]);
    assert.deepEqual([transcode?.params, transcode?.rungs], [{ loudnessLufs: -16 }, []]);
    const { verification } = await client.getVerification({ encodeSet: transcode?.encodeSet ?? '' });
    assert.equal(verification?.ok, true);
    assert.deepEqual(verification.warnings, transcode?.result?.['warnings']);
    assert.deepEqual(
      verification.tracks.map(({ id, samples }) => [id, samples]),
      [['video-144p', 50n]],
    );
  });

  it('shows progress that never falls, though the job runs again when its parts have ended', async () => {
    const { output } = await run(await shortSource(), '--title', 'titles/steady');
    const name = output.match(/transcodes\/[a-z0-9]+/)?.[0] ?? '';
    const fractions: number[] = [];
    let starts = 0;
    const told: (readonly [string, bigint, bigint])[] = [];
    for await (const { event, rungs } of client.watchTranscode({ name })) {
      for (const { rung, frames, totalFrames } of rungs) told.push([rung, frames, totalFrames]);
      if (event?.event.case === 'progress') fractions.push(event.event.value.fraction);
      if (event?.event.case === 'attempt' && event.event.value.endTime === undefined) starts++;
    }
    assert.ok(starts > 1, `${starts} starts`);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
    assert.equal(fractions.at(-1), 1);
    assert.ok(told.length > 0);
    for (const each of told) assert.deepEqual([each[0], each[2]], ['144p', 50n]);
  });

  it('tells why a source is refused, with the reason and exit code 1', async () => {
    const path = join(server.stateDir, '-Ünïcode notes.mp4');
    await writeFile(path, 'These are words, not pictures.\n');
    const { code, output, errors } = await run(path);
    assert.equal(code, 1);
    assert.match(output, /makes titles\/unicode-notes \(/);
    assert.match(errors, /^INVALID_ARGUMENT SOURCE_NOT_VIDEO: transcodes\/\w+ ended in FAILED: source refused/);
  });

  it('refuses a file that is not there, a title that no letter names, and parameters that are no object', async () => {
    const absent = await run('absent.mp4');
    assert.equal(absent.code, 1);
    assert.match(absent.errors, /INVALID_ARGUMENT INVALID_FIELDS: FILE: ENOENT/);
    const nameless = await run(await shortSource(), '--title', '???');
    assert.match(nameless.errors, /INVALID_ARGUMENT INVALID_FIELDS: --title/);
    const listed = await run(await shortSource(), '--params', '[1]');
    assert.match(listed.errors, /INVALID_FIELDS: --params: must be a JSON object/);
  });

  it('leaves the transcode alone when its watch is interrupted, and says how to go on', async () => {
    const child = start(await longerSource(), '--title', 'titles/left-alone');
    const made = () => /makes titles\/left-alone \((jobs\/\w+)\)/.exec(child.lines.join('\n'))?.[1];
    await waitUntil('it watches', () => made() !== undefined, 20_000);
    child.process.kill('SIGINT');
    assert.deepEqual([await child.ended, child.errors()], [0, '']);
    assert.equal(child.lines.at(-1), `${made()} goes on: showrunner jobs watch ${made()}`);
    const name = child.lines.join('\n').match(/transcodes\/[a-z0-9]+/)?.[0] ?? '';
    const { transcode } = await client.getTranscode({ name });
    assert.notEqual(transcode?.state, Job_State.CANCELLED);
  });

  it('cancels a transcode, whose watch then ends', async () => {
    const { output } = await run(await longerSource(), '--no-wait');
    const name = output.match(/transcodes\/[a-z0-9]+/)?.[0] ?? '';
    const { transcode } = await client.cancelTranscode({ name });
    assert.equal(transcode?.state, Job_State.CANCELLED);
    const states: Job_State[] = [];
    for await (const { event } of client.watchTranscode({ name })) {
      if (event?.event.case === 'state') states.push(event.event.value);
    }
    assert.equal(states.at(-1), Job_State.CANCELLED);
  });

  it('says what does not exist', async () => {
    await rejectsWith(client.getTranscode({ name: 'transcodes/absent' }), Code.NOT_FOUND, 'TRANSCODE_NOT_FOUND');
    const encodeSet = 'titles/again/encodeSets/v0';
    await rejectsWith(client.getVerification({ encodeSet }), Code.NOT_FOUND, 'ENCODESET_NOT_FOUND');
    const absent = { title: 'titles/again', sourceKey: 'sources/absent' };
    await rejectsWith(client.createTranscode({ transcode: absent }), Code.NOT_FOUND, 'SOURCE_NOT_FOUND');
  });

  it('names the faulty parameters of a transcode', async () => {
    const wrong = { title: 'titles/again', sourceKey: '', params: {} };
    await rejectsWith(client.createTranscode({ transcode: wrong }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const twice = { title: 'titles/again', sourceKey: 'sources/x', params: { titleId: 'titles/other' } };
    const error = await rejectsWith(
      client.createTranscode({ transcode: twice }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELDS',
    );
    assert.equal(error.fields[0]?.field, 'transcode.params.titleId');
  });
});
