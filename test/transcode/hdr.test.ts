import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobKind } from '../../workers/queue/job-kind.ts';
import type { TrialParams } from '../../workers/transcode/params.ts';
import { loadPlan } from '../../workers/transcode/plan/plan-store.ts';
import type { EncodeSetFile, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { parseHdrSignal } from '../../workers/transcode/source/hdr.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { ffmpeg, ffprobe, makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const titleId = 'titles/hdr';
const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=0.4'];
const screen = 'G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)';

function hdrSource(name: string, transfer: string, params: string, graph = ''): Promise<string> {
  const tags = ['-color_primaries', 'bt2020', '-color_trc', transfer, '-colorspace', 'bt2020nc'];
  const codec = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', `log-level=none:pools=none${params}`];
  const input = graph === '' ? picture : ['-f', 'lavfi', '-i', graph];
  return makeSource(name, [...input, '-pix_fmt', 'yuv420p10le', ...codec, ...tags]);
}

const hdr10 = () => hdrSource('hdr10.mkv', 'smpte2084', `:hdr10=1:master-display=${screen}:max-cll=1000,400`);

describe('an HDR10 source that is to stay HDR', () => {
  let fixture: TranscodeFixture;
  let result: TranscodeResult;
  const rung = (id: string): EncodeSetFile => {
    const found = result.files.find((file) => file.id === id);
    assert.ok(found, id);
    return found;
  };
  const playlistOf = (id: string) => join(fixture.objectsDir, `${rung(id).objectKey}index.m3u8`);
  const textOf = async (key: string) => Buffer.from(await fixture.objects.read(key)).toString();

  before(async () => {
    fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await hdr10());
    result = await fixture.transcode({ titleId, sourceKey, hdr: 'keep', ladder: smallLadder });
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('has H.264 in SDR for every screen and HEVC in 10-bit PQ for those that show it', async () => {
    const entries = 'stream=codec_name,pix_fmt,color_space,color_transfer,color_primaries';
    const shown = async (id: string) =>
      (await ffprobe(['-show_entries', entries, '-of', 'default=nk=1:nw=1', playlistOf(id)])).split('\n').slice(0, 5);
    assert.deepEqual(await shown('video-144p'), ['h264', 'yuv420p', 'bt709', 'bt709', 'bt709']);
    const wide = ['hevc', 'yuv420p10le', 'bt2020nc', 'smpte2084', 'bt2020'];
    assert.deepEqual(await shown('video-hevc-hdr-144p'), wide);
    assert.match(rung('video-hevc-hdr-144p').codec, /^hvc1\.2\.4\.L/);
    assert.equal(rung('video-hevc-hdr-144p').profile, 'hevc-main10-144p');
  });

  it('carries the light of the screen it was graded on', async () => {
    const first = ['-select_streams', 'v:0', '-read_intervals', '%+#1', '-show_entries', 'frame_side_data'];
    const frame = JSON.parse(await ffprobe([...first, '-of', 'json', playlistOf('video-hevc-hdr-144p')]));
    const signal = parseHdrSignal('PQ', frame);
    assert.deepEqual([signal.masterDisplay, signal.lightLevel], [screen, '1000,400']);
  });

  it('shows the very light of the source, where the SDR pictures are mapped', async () => {
    const light = async (input: string) => {
      const grey = ['-vf', 'scale=16:9:flags=area,format=gray10le', '-frames:v', '1', '-f', 'rawvideo', '-'];
      const bytes = await ffmpeg(['-i', input, '-map', '0:v:0', ...grey]);
      return Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16LE(index * 2));
    };
    const apart = (a: readonly number[], b: readonly number[]) =>
      a.reduce((sum, value, index) => sum + Math.abs(value - (b[index] ?? 0)), 0) / a.length;
    const source = await light(await hdr10());
    const kept = apart(source, await light(playlistOf('video-hevc-hdr-144p')));
    const mapped = apart(source, await light(playlistOf('video-144p')));
    assert.ok(kept < 16 && mapped > 4 * kept, `${kept} and ${mapped} of 1023`);
  });

  it('is offered as PQ in HLS after SDR, and in DASH to players that know it', async () => {
    const master = await textOf(result.hlsObjectKey);
    const variants = [...master.matchAll(/^#EXT-X-STREAM-INF:.*CODECS="(....).*VIDEO-RANGE=(\w+)/gm)];
    assert.deepEqual(
      variants.map(([, codec, range]) => `${codec} ${range}`),
      ['avc1 SDR', 'hvc1 PQ'],
    );
    assert.match(master, /^#EXT-X-I-FRAME-STREAM-INF:.*hvc1.*VIDEO-RANGE=PQ/m);
    const sets = (await textOf(result.dashObjectKey)).split('<AdaptationSet').filter((set) => /"video"/.test(set));
    const cicp = sets.map((set) => [...set.matchAll(/cicp:(\w+)" value="(\d+)"/g)].map((match) => match[2]).join());
    assert.deepEqual(cicp, ['', '9,16,9']);
  });

  it('has thumbnails of the SDR pictures', async () => {
    const keys = await fixture.keys(`${titleId}/${result.version}/images/`);
    assert.ok(keys.some((key) => key.endsWith('sheet-00001.jpg')));
  });

  it('is scored without its HDR rungs, which no metric here can judge', async () => {
    const run = await fixture.run({ encodeSetKey: result.encodeSetKey, metric: 'ssim' }, { kind: 'score-title' });
    const { rungs } = run.result as unknown as { rungs: { id: string }[] };
    assert.deepEqual(
      rungs.map(({ id }) => id),
      ['video-144p'],
    );
  });
});

describe('the range of a title', () => {
  it('is HLG where the source is', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await hdrSource('hlg.mkv', 'arib-std-b67', ''));
    const result = await fixture.transcode({ titleId, sourceKey, hdr: 'keep', codecs: ['h264'], ladder: smallLadder });
    const master = Buffer.from(await fixture.objects.read(result.hlsObjectKey)).toString();
    assert.match(master, /hvc1\.2\..*VIDEO-RANGE=HLG/);
    assert.match(Buffer.from(await fixture.objects.read(result.dashObjectKey)).toString(), /Transfer\w+" value="18"/);
  });

  it('leaves the trials of a ladder to SDR: HDR rungs are those of the fixed one, and the ladder says so', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(
      await hdrSource('hdr-10s.mkv', 'smpte2084', '', 'testsrc2=s=96x96:r=10:d=10'),
    );
    // Rates and scores that fall with CRF, in place of encodes: what is looked at is what is asked for.
    const tried: string[] = [];
    const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger }).map((kind): JobKind => {
      if (kind.name !== 'trial-encode') return kind;
      return {
        ...kind,
        run: async (_context, params) => {
          const plan = await loadPlan(fixture.objects, (params as TrialParams).plan, new AbortController().signal);
          tried.push(...plan.rungs.map(({ codec, hdr }) => (hdr ? `${codec} HDR` : codec)));
          const scores = plan.rungs.map(({ id, crf }) => ({ id, frames: 20, bytes: 4e5 / crf, mean: 1 - crf / 1000 }));
          return { scores, cpuSeconds: 1 };
        },
      };
    });
    const params = { titleId, sourceKey, hdr: 'keep', ladderMode: 'per-title' };
    const result = await fixture.transcode(params, { kinds });
    assert.deepEqual([...new Set(tried)], ['h264']);
    const report = JSON.parse(Buffer.from(await fixture.objects.read(result.ladderObjectKey)).toString());
    assert.equal(report.mode, 'per-title');
    assert.match(report.notes.join(), /HDR rungs are those of the fixed ladder/);
    assert.ok(result.files.some((file) => file.id === 'video-hevc-hdr-96p' && file.codec.startsWith('hvc1.2.')));
  });

  it('is SDR where the source is, and a job that would keep HDR is told so', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await makeSource('sdr.mp4', [...picture, ...sourceCodec]));
    const result = await fixture.transcode({ titleId, sourceKey, hdr: 'keep', ladder: smallLadder });
    assert.deepEqual(result.warnings, ['hdr: the source is SDR, so there is nothing to keep']);
    assert.ok(!result.files.some((file) => file.id.includes('hdr')));
  });

  it('cannot be HDR alone, nor something else', async () => {
    await using fixture = await createTranscodeFixture();
    const params = { titleId, sourceKey: 'uploads/source' };
    for (const [field, more] of [
      ['params.codecs', { hdr: 'keep', codecs: ['hevc'] }],
      ['params.hdr', { hdr: 'dolby' }],
    ] as const) {
      const error = await rejectsWith(fixture.run({ ...params, ...more }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });

  it('is BT.2020 where an HDR source does not say, and says no light that was not said', () => {
    const bare = { range: 'PQ', primaries: 'bt2020', matrix: 'bt2020nc' } as const;
    assert.deepEqual(parseHdrSignal('PQ', {}), bare);
    const odd = {
      frames: [{ color_space: 'rgb', side_data_list: [{ side_data_type: 'Mastering display metadata' }] }],
    };
    assert.deepEqual(parseHdrSignal('PQ', odd), bare);
    const broken = { side_data_type: 'Content light level metadata', max_content: 'x:y', max_average: 1 };
    assert.deepEqual(parseHdrSignal('PQ', { frames: [{ side_data_list: [broken] }] }), bare);
  });
});
