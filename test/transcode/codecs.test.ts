import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { encoderFor, type VideoCodec, videoCodecs } from '../../workers/transcode/codecs/video-codec.ts';
import { parseBoxes } from '../../workers/transcode/mp4/boxes.ts';
import { isRandomAccess } from '../../workers/transcode/mp4/random-access.ts';
import { readSamples } from '../../workers/transcode/mp4/read-fragments.ts';
import type { EncodeSetFile, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { ffprobe, makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const source = () =>
  makeSource('codecs.mp4', ['-f', 'lavfi', '-i', numberedFrames('30000/1001', 5.005), ...sourceCodec]);
const titleId = 'titles/codecs';

describe('codecs', () => {
  let fixture: TranscodeFixture;
  let result: TranscodeResult;
  const fileOf = (codec: VideoCodec): EncodeSetFile => {
    const id = codec === 'h264' ? 'video-144p' : `video-${codec}-144p`;
    const found = result.files.find((file) => file.id === id);
    assert.ok(found, id);
    return found;
  };
  const samplesOf = async (codec: VideoCodec) => {
    const { objectKey } = fileOf(codec);
    const names = ['init.mp4', ...Array.from({ length: 3 }, (_, index) => `seg-0000${index + 1}.m4s`)];
    const parts = await Promise.all(names.map((name) => fixture.objects.read(`${objectKey}${name}`)));
    return readSamples(Buffer.concat(parts));
  };

  before(async () => {
    fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await source());
    result = await fixture.transcode({
      titleId,
      sourceKey,
      codecs: ['av1', 'vp9', 'hevc', 'h264'],
      ladder: smallLadder,
    });
  });
  after(() => fixture[Symbol.asyncDispose]());

  for (const codec of videoCodecs) {
    it(`${codec} shows every frame of the source once and in order over three chunks`, async () => {
      const playlist = join(fixture.objectsDir, `${fileOf(codec).objectKey}index.m3u8`);
      assert.deepEqual(await readFrameNumbers(playlist), upTo(150));
    });

    it(`${codec} can be entered at each GOP and nowhere else, by its flags and by its bits`, async () => {
      const samples = await samplesOf(codec);
      const keys = samples.flatMap((sample, index) => (isRandomAccess(codec, sample.data) ? [index] : []));
      assert.deepEqual(keys, [0, 60, 120]);
      assert.deepEqual(
        samples.flatMap((sample, index) => (sample.sync ? [index] : [])),
        keys,
      );
    });
  }

  it('are named by their configuration boxes as players know them', async () => {
    assert.deepEqual(
      videoCodecs.map((codec) => fileOf(codec).codec),
      ['avc1.4d4015', 'hvc1.1.6.L60.90', 'vp09.00.10.08', 'av01.0.00M.08'],
    );
    const entries = 'stream=codec_name,codec_tag_string,profile,level';
    const hevc = join(fixture.objectsDir, `${fileOf('hevc').objectKey}index.m3u8`);
    // Two independent readers of the same header: level 60 is 2.0.
    assert.match(await ffprobe(['-show_entries', entries, '-of', 'csv=p=0', hevc]), /hevc,Main,hvc1,60/);
  });

  it('that are AV1 carry its brand, and no header carries an encoder cap', async () => {
    for (const codec of videoCodecs) {
      const init = Buffer.from(await fixture.objects.read(`${fileOf(codec).objectKey}init.mp4`));
      const ftyp = parseBoxes(init)[0];
      assert.ok(ftyp);
      const brands = init.toString('latin1', ftyp.bodyStart, ftyp.end);
      assert.ok(brands.startsWith('cmfc'));
      assert.equal(brands.includes('av01'), codec === 'av1');
      assert.ok(!init.includes('btrt'));
    }
  });

  it('are offered with H.264 first in HLS, and in a set of their own each in DASH', async () => {
    const hls = Buffer.from(await fixture.objects.read(result.hlsObjectKey)).toString();
    const codecsOf = (tag: string) =>
      [...hls.matchAll(new RegExp(`^#${tag}:.*CODECS="(....)`, 'gm'))].map((match) => match[1]);
    assert.deepEqual(codecsOf('EXT-X-STREAM-INF'), ['avc1', 'hvc1', 'vp09', 'av01']);
    assert.deepEqual(codecsOf('EXT-X-I-FRAME-STREAM-INF'), ['avc1', 'hvc1', 'vp09', 'av01']);
    const mpd = Buffer.from(await fixture.objects.read(result.dashObjectKey)).toString();
    const sets = mpd.split('<AdaptationSet').slice(1);
    const video = sets.filter((set) => set.includes('contentType="video"'));
    assert.deepEqual(
      video.map((set) => [/ id="(\d)"/.exec(set)?.[1], /codecs="(....)/.exec(set)?.[1]]),
      [
        ['1', 'avc1'],
        ['2', 'hvc1'],
        ['3', 'vp09'],
        ['4', 'av01'],
      ],
    );
    // One at a time: FFmpeg's reader ends all representations with the first that ends.
    for (const index of videoCodecs.keys()) {
      const one = ['-count_packets', '-select_streams', `v:${index}`, '-show_entries', 'stream=nb_read_packets'];
      const count = await ffprobe([...one, '-of', 'csv=p=0', join(fixture.objectsDir, result.dashObjectKey)]);
      assert.match(count.trim(), /^150\b/);
    }
  });

  it('cost what each rung cost, and less again when only one is new', async () => {
    const costs = result.cost?.rungs ?? [];
    assert.deepEqual(
      costs.map((rung) => [rung.id, rung.chunksEncoded, rung.chunksReused]),
      [
        ['144p', 3, 0],
        ['hevc-144p', 3, 0],
        ['vp9-144p', 3, 0],
        ['av1-144p', 3, 0],
      ],
    );
    for (const rung of costs) assert.ok(rung.cpuSeconds > 0 && rung.cpuPerSecond > 0, rung.id);
    const ladder = [...smallLadder, { height: 90, crf: 30, maxrateKbps: 300 }];
    const more = await fixture.transcode({ titleId, sourceKey: 'uploads/source', codecs: ['h264'], ladder });
    assert.deepEqual(
      more.cost?.rungs.map((rung) => [rung.id, rung.chunksEncoded, rung.chunksReused]),
      [
        ['144p', 0, 3],
        ['90p', 3, 0],
      ],
    );
    const before = await fixture.objects.stat(`${fileOf('h264').objectKey}seg-00003.m4s`);
    const kept = more.files.find((file) => file.id === 'video-144p');
    const after = await fixture.objects.stat(`${kept?.objectKey}seg-00003.m4s`);
    assert.equal(after?.sha256, before?.sha256);
  });

  it('give the same bytes alone as beside other rungs', async () => {
    await using other = await createTranscodeFixture();
    const sourceKey = await other.upload(await source());
    const alone = await other.transcode({ titleId, sourceKey, codecs: ['hevc'], ladder: smallLadder });
    assert.equal(alone.files[0]?.sha256, fileOf('hevc').sha256);
  });

  it('that the build lacks are CODEC_UNAVAILABLE, another encoder of the codec is taken where there is one', () => {
    const find = (codec: VideoCodec, ...names: string[]) => encoderFor(codec, new Set(names));
    assert.equal(find('av1', 'libaom-av1', 'libsvtav1'), 'libsvtav1');
    assert.equal(find('av1', 'libaom-av1'), 'libaom-av1');
    assert.throws(() => find('hevc', 'libx264'), { reason: 'CODEC_UNAVAILABLE', code: Code.FAILED_PRECONDITION });
  });

  for (const [what, params, fields] of [
    ['an unknown codec', { codecs: ['h263'] }, ['codecs']],
    ['a codec twice', { codecs: ['h264', 'h264'] }, ['codecs']],
    ['no codec', { codecs: [] }, ['codecs']],
    ['an unknown mode', { ladderMode: 'best' }, ['ladderMode']],
    ['steps and trials together', { ladderMode: 'per-title', ladder: smallLadder }, ['ladderMode']],
    ['a budget of nothing', { analysisCpuSeconds: 0 }, ['analysisCpuSeconds']],
  ] as const) {
    it(`refuse ${what}`, async () => {
      const run = fixture.run({ titleId, sourceKey: 'uploads/source', ...params });
      const error = await rejectsWith(run, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        fields.map((field) => `params.${field}`),
      );
    });
  }
});

describe('random access by coded bits', () => {
  it('of VP9 is a key frame that is no repetition, in any profile', () => {
    const vp9 = (byte: number) => isRandomAccess('vp9', Buffer.of(byte));
    assert.deepEqual([0b10000000, 0b10110000].map(vp9), [true, true]);
    assert.deepEqual([0b10000100, 0b10001000, 0b10110010, 0b10110100, 0b01000000].map(vp9), Array(5).fill(false));
  });

  it('of AV1 is a sequence header with a shown key frame, whatever comes before', () => {
    const obu = (type: number, ...body: number[]) => [(type << 3) | 2, body.length, ...body];
    const av1 = (...bytes: number[]) => isRandomAccess('av1', Buffer.from(bytes));
    assert.equal(av1(...obu(2), ...obu(1, 0, 0), ...obu(6, 0b00010000)), true);
    assert.equal(av1(...obu(6, 0b00010000)), false);
    assert.equal(av1(...obu(1, 0), ...obu(6, 0b00110000)), false);
    assert.equal(av1(...obu(1, 0), ...obu(6, 0b00000000)), false);
    assert.equal(av1(...obu(1, 0), ...obu(3, 0b10000000)), false);
    // A size that runs past the sample, and none at all.
    assert.equal(av1(...obu(1, 0), (6 << 3) | 2, 200, 0b00010000), false);
    assert.equal(av1(...obu(1, 0), 6 << 3, 0b00010000), true);
    assert.equal(av1(), false);
  });

  it('of H.265 is IDR, not CRA', () => {
    const unit = (type: number) => Buffer.from([0, 0, 0, 2, type << 1, 1]);
    const hevc = (...types: number[]) => isRandomAccess('hevc', Buffer.concat(types.map(unit)));
    assert.deepEqual([hevc(19), hevc(39, 20), hevc(21), hevc(1), hevc(39)], [true, true, false, false, false]);
  });
});
