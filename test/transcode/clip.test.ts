import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobProgress } from '../../workers/queue/job-kind.ts';
import { fixedLadder } from '../../workers/transcode/plan/ladder.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import type { JobRun } from './run-job.ts';
import { ffmpeg, ffprobe } from './sources.ts';
import { clipPath, createTranscodeFixture, type TranscodeFixture } from './transcode-fixture.ts';

const params = { titleId: 'titles/big-buck-bunny', sourceKey: 'uploads/source' };

/** Mean SSIM of each frame of each playlist's picture against the source's, at the size of the smallest rung. */
async function frameScores(playlists: readonly string[], dir: string): Promise<number[][]> {
  const copies = playlists.map((_playlist, index) => `[s${index}]`).join('');
  const scaled = 'scale=480:270:flags=bicubic,setpts=N/(25*TB)';
  const pairs = playlists.map((_playlist, index) => {
    return `[${index + 1}:v:0]${scaled}[a${index}];[a${index}][s${index}]ssim=stats_file=${join(dir, `ssim-${index}`)}[o${index}]`;
  });
  const graph = [`[0:v:0]${scaled},split=${playlists.length}${copies}`, ...pairs].join(';');
  const inputs = [clipPath, ...playlists].flatMap((path) => ['-i', path]);
  const outputs = playlists.flatMap((_playlist, index) => ['-map', `[o${index}]`, '-f', 'null', '-']);
  await ffmpeg([...inputs, '-filter_complex', graph, ...outputs]);
  const reports = await Promise.all(
    playlists.map((_playlist, index) => readFile(join(dir, `ssim-${index}`), 'latin1')),
  );
  return reports.map((report) => [...report.matchAll(/All:([\d.]+)/g)].map((match) => Number(match[1])));
}

describe('transcode of the shipped clip', () => {
  let fixture: TranscodeFixture;
  let run: JobRun;
  let result: TranscodeResult;
  const lastReports = new Map<string, JobProgress>();
  const pathOf = (key: string) => join(fixture.objectsDir, key);

  before(async () => {
    fixture = await createTranscodeFixture();
    await fixture.upload(clipPath);
    let label = '';
    run = await fixture.run(params, {
      onChild: (job) => {
        label = job.label;
      },
      onProgress: (report, kind) => {
        if (kind === 'encode-chunk') lastReports.set(label, report);
      },
    });
    result = run.result as unknown as TranscodeResult;
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('cuts 132 frames at 25 fps into three chunks and encodes audio whole', () => {
    assert.deepEqual(
      run.children.map(({ job }) => job.label),
      [
        'encode audio',
        'encode audio (main-5.1)',
        'encode frames 0-47',
        'encode frames 48-95',
        'encode frames 96-131',
        'make thumbnails',
      ],
    );
    assert.equal(result.frameCount, 132);
    assert.equal(result.frameRate, '25/1');
    assert.equal(result.durationSeconds, 5.28);
  });

  it('passes every check and says so', () => {
    assert.equal(result.verification.ok, true);
    const names = result.verification.checks.map((check) => check.name);
    const expected = ['frame_count', 'continuous_ticks', 'aligned_segments', 'starts_at_zero'];
    assert.deepEqual(names, [...expected, 'audio_video_length', 'loudness', 'window_peak', 'rate_cap']);
    assert.ok(result.verification.checks.every((check) => check.ok));
  });

  it('makes rungs of 270, 432 and 720 lines with the codecs their files have', () => {
    const rows = result.files.map(({ id, profile, codec, width, height }) => [id, profile, codec, width, height]);
    assert.deepEqual(rows, [
      ['video-270p', 'h264-main-270p', 'avc1.4d4015', 480, 270],
      ['video-432p', 'h264-main-432p', 'avc1.4d401e', 768, 432],
      ['video-720p', 'h264-high-720p', 'avc1.64001f', 1280, 720],
      ['audio-main', 'aac-stereo', 'mp4a.40.2', 0, 0],
      ['audio-main-5.1', 'aac-5.1', 'mp4a.40.2', 0, 0],
      ['thumbnails', 'jpeg-5x5', 'jpeg', 160, 90],
      ['hls', 'hls', '', 0, 0],
      ['dash', 'dash', '', 0, 0],
    ]);
  });

  it('lists every published object with its size and digest', async () => {
    const set = await fixture.encodeSet(result);
    const folder = result.encodeSetKey.slice(0, result.encodeSetKey.lastIndexOf('/') + 1);
    const stored = (await fixture.keys(folder)).filter((key) => key !== result.encodeSetKey);
    assert.deepEqual(set.objects.map((object) => object.key).sort(), stored);
    for (const { key, bytes, sha256 } of set.objects) {
      const body = await fixture.objects.read(key);
      assert.equal(body.length, bytes);
      assert.equal(createHash('sha256').update(body).digest('hex'), sha256);
    }
  });

  for (const [name, key] of [
    ['HLS', 'hlsObjectKey'],
    ['DASH', 'dashObjectKey'],
  ] as const) {
    it(`is read by ffmpeg through ${name} as 132 frames a rung, in step from 0, and 5.28 s of audio`, async () => {
      const manifest = pathOf(result[key]);
      for (const rung of [0, 1, 2]) {
        const args = ['-select_streams', `v:${rung}`, '-show_entries', 'frame=pts_time', '-of', 'csv=p=0', manifest];
        const times = (await ffprobe(args))
          .trim()
          .split(/[\s,]+/)
          .map(Number);
        assert.deepEqual(
          times,
          Array.from({ length: 132 }, (_, index) => index / 25),
        );
      }
      const entries = 'packet=pts_time,duration_time';
      const audio = await ffprobe(['-select_streams', 'a:0', '-show_entries', entries, '-of', 'csv=p=0', manifest]);
      const ends = audio
        .trim()
        .split('\n')
        .map((line) => line.split(',').slice(0, 2).map(Number));
      const end = Math.max(...ends.map(([at = 0, lasts = 0]) => at + lasts));
      assert.ok(Math.abs(end - 5.28) < 1024 / 48_000, `audio ends at ${end}`);
    });
  }

  it('shows the source frame for frame: every picture of every rung is like its original', async () => {
    const rungs = result.files.filter((each) => each.kind === 'video');
    const all = await frameScores(
      rungs.map((rung) => pathOf(`${rung.objectKey}index.m3u8`)),
      fixture.dir,
    );
    for (const [index, scores] of all.entries()) {
      assert.equal(scores.length, 132);
      const worst = Math.min(...scores);
      assert.ok(worst > 0.93, `${rungs[index]?.id}: worst frame scores ${worst}`);
    }
  });

  it('finds the published version on a second run and starts no child', async () => {
    const again = await fixture.run(params);
    assert.equal(again.children.length, 0);
    assert.deepEqual(again.result, run.result);
  });

  it('gives the same bytes on another worker with an empty store', async () => {
    await using other = await createTranscodeFixture();
    await other.upload(clipPath);
    const repeated = await other.transcode({ ...params, ladder: fixedLadder.filter(({ height }) => height === 270) });
    const digests = (files: TranscodeResult['files']) =>
      files.flatMap(({ id, sha256 }) => (/^video-270p|^audio/.test(id) ? [[id, sha256]] : []));
    assert.equal(digests(repeated.files).length, 3);
    assert.deepEqual(digests(repeated.files), digests(result.files));
  });

  it('reports progress that never falls and ends at 1, with frames and speed in the chunks', async () => {
    const fractions = run.progress.map((report) => report.fraction);
    assert.deepEqual(
      fractions,
      [...fractions].sort((a, b) => a - b),
    );
    assert.equal(fractions.at(-1), 1);
    const frames = [...lastReports.values()].map((report) => [report.fraction, report.detail?.['frames']]);
    assert.deepEqual(frames, [
      [1, 48],
      [1, 48],
      [1, 36],
    ]);
  });
});
