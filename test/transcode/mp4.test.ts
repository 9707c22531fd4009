import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { AppError } from '../../server/core/errors.ts';
import { chunkFaults, headerFaults } from '../../workers/transcode/encode/verify-chunk.ts';
import { makeBox, parseBoxes, uint32 } from '../../workers/transcode/mp4/boxes.ts';
import { makeInitSegment, readTrackInfo } from '../../workers/transcode/mp4/init-segment.ts';
import { isIdr, nalUnitTypes } from '../../workers/transcode/mp4/nal-units.ts';
import { readSamples, type Sample } from '../../workers/transcode/mp4/read-fragments.ts';
import { writeSegment } from '../../workers/transcode/mp4/write-segment.ts';
import { type CodecChoice, chooseRungs } from '../../workers/transcode/plan/ladder.ts';
import { rational } from '../../workers/transcode/rational.ts';
import { ffprobe, makeSource } from './sources.ts';

const malformed = (error: unknown) => error instanceof AppError && error.reason === 'MP4_MALFORMED';

/** A fragmented file of 60 frames, GOPs of 24, two frames of reordering. */
const fragmentedPath = () => {
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=128x72:r=25:d=2.4'];
  const codec = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '24', '-keyint_min', '24', '-sc_threshold', '0'];
  const flags = ['-flags', '+cgop', '-threads', '1', '-video_track_timescale', '12800'];
  const movflags = ['-movflags', '+frag_keyframe+empty_moov+default_base_moof'];
  return makeSource('fragmented.mp4', [...picture, ...codec, ...flags, ...movflags]);
};

const fragmented = async () => readFile(await fragmentedPath());

describe('MP4 boxes', () => {
  it('are parsed with 32-bit, 64-bit and to-the-end sizes', () => {
    const large = Buffer.concat([uint32(1), Buffer.from('larg'), uint32(0, 20), Buffer.from('data')]);
    const rest = Buffer.concat([uint32(0), Buffer.from('rest'), Buffer.from('xy')]);
    const data = Buffer.concat([makeBox('free', Buffer.from('abc')), large, rest]);
    const boxes = parseBoxes(data).map((box) => [box.type, box.start, box.bodyStart, box.end]);
    assert.deepEqual(boxes, [
      ['free', 0, 8, 11],
      ['larg', 11, 27, 31],
      ['rest', 31, 39, 41],
    ]);
  });

  for (const [what, data] of [
    ['longer than the file', Buffer.concat([uint32(100), Buffer.from('free')])],
    ['shorter than its header', Buffer.concat([uint32(7), Buffer.from('free')])],
    ['cut in its header', Buffer.from('abc')],
    ['cut in its large size', Buffer.concat([uint32(1), Buffer.from('free'), uint32(0)])],
  ] as const) {
    it(`are MP4_MALFORMED when one is ${what}`, () => {
      assert.throws(() => parseBoxes(data), malformed);
    });
  }
});

describe('fragmented MP4', () => {
  it('is read sample by sample as ffprobe reads it', async () => {
    const data = await fragmented();
    const samples = readSamples(data);
    const path = await fragmentedPath();
    const report = await ffprobe(['-show_entries', 'packet=pts,dts,size,flags', '-of', 'csv=p=0', path]);
    const packets = report
      .trim()
      .split('\n')
      .map((line) => line.split(','));
    const seen = samples.map((sample) => [
      String(sample.decodeTicks + sample.offsetTicks),
      String(sample.decodeTicks),
      String(sample.data.length),
      sample.sync ? 'K_' : '__',
    ]);
    assert.deepEqual(
      seen,
      packets.map((fields) => fields.slice(0, 4)),
    );
  });

  it('says its codec, size and clock by its boxes', async () => {
    const info = readTrackInfo(await fragmented());
    assert.match(info.codec, /^avc1\.64[0-9a-f]{4}$/);
    assert.deepEqual([info.width, info.height, info.timescale, info.skipTicks], [128, 72, 12_800, 0]);
  });

  it('passes the chunk checks, and fails each when it is broken', async () => {
    const samples = readSamples(await fragmented());
    const expected = { codec: 'h264', frames: 60, gopFrames: 24, ticksPerFrame: 512 } as const;
    assert.deepEqual(chunkFaults(samples, expected), []);
    const change = (index: number, more: Partial<Sample>) =>
      samples.map((sample, at) => (at === index ? { ...sample, ...more } : sample));
    assert.match(chunkFaults(samples.slice(1), expected).join(), /59 frames, 60 planned/);
    assert.match(chunkFaults(samples, { ...expected, gopFrames: 30 }).join(), /frame 24 is an unplanned keyframe/);
    assert.match(chunkFaults(change(48, { sync: false }), expected).join(), /frame 48 is no keyframe/);
    const [, second] = samples;
    assert.match(chunkFaults(change(24, { data: second?.data ?? Buffer.of() }), expected).join(), /24 is no IDR/);
    assert.match(chunkFaults(change(5, { decodeTicks: 1 }), expected).join(), /frame 5 is decoded at tick 1/);
    assert.match(chunkFaults(change(5, { durationTicks: 511 }), expected).join(), /frame 5 lasts 511/);
    const shownTwice = chunkFaults(change(5, { offsetTicks: (samples[5]?.offsetTicks ?? 0) + 512 }), expected);
    assert.match(shownTwice.join(), /is shown 0 times.*is shown 2 times|is shown 2 times.*is shown 0 times/);
  });

  it('fails a header that is not what was asked for', () => {
    const display = { width: 1280, height: 720 };
    const step = [{ height: 720, crf: 23, maxrateKbps: 3500 }];
    const rungOf = (choice: CodecChoice) => {
      const [rung] = chooseRungs(step, display, rational(25, 1), choice);
      assert.ok(rung);
      return rung;
    };
    const h264 = rungOf({ codec: 'h264', encoder: 'libx264' });
    const hdr = { range: 'PQ', primaries: 'bt2020', matrix: 'bt2020nc' } as const;
    const hevc = rungOf({ codec: 'hevc', encoder: 'libx265', hdr });
    assert.deepEqual(headerFaults({ ...display, codec: 'avc1.64001f' }, h264), []);
    assert.deepEqual(headerFaults({ ...display, codec: 'hvc1.2.4.L93.90' }, hevc), []);
    for (const [rung, header, fault] of [
      [h264, { ...display, codec: 'avc1.640028' }, /is not high at level 3\.1/],
      [h264, { ...display, codec: 'avc1.42c01f' }, /is not high at level 3\.1/],
      [h264, { ...display, codec: 'hvc1.1.6.L93.90' }, /its codec is hvc1\.1\.6\.L93\.90, not h264/],
      [h264, { width: 720, height: 1280, codec: 'avc1.64001f' }, /its pictures are 720x1280, not 1280x720/],
      [hevc, { ...display, codec: 'hvc1.1.6.L93.90' }, /^not in 10 bit$/],
    ] as const) {
      assert.match(headerFaults(header, rung).join(), fault);
    }
  });

  it('is MP4_MALFORMED when cut anywhere in its fragments', async () => {
    const data = await fragmented();
    const boxes = parseBoxes(data).filter((box) => box.type === 'moof' || box.type === 'mdat');
    for (const box of boxes) {
      assert.throws(() => readSamples(data.subarray(0, box.end - 1)), malformed);
    }
  });
});

describe('CMAF segments', () => {
  it('carry rebased times, the reordering their edit list skips, and the samples untouched', async () => {
    const data = await fragmented();
    const samples = readSamples(data).slice(24, 48);
    const init = makeInitSegment(data, 1024);
    const { trackId, skipTicks } = readTrackInfo(init);
    const decodeTicks = 2 ** 33;
    const segment = writeSegment({ trackId, sequence: 7, decodeTicks, samples, shiftTicks: 512 });
    assert.deepEqual(
      parseBoxes(segment).map((box) => box.type),
      ['styp', 'moof', 'mdat'],
    );
    assert.equal(skipTicks, 1024);
    const back = readSamples(Buffer.concat([init, segment]));
    back.forEach((sample, index) => {
      assert.equal(sample.decodeTicks, decodeTicks + index * 512);
      assert.equal(sample.offsetTicks, (samples[index]?.offsetTicks ?? 0) + 512);
      assert.equal(sample.sync, index === 0);
      assert.deepEqual(sample.data, samples[index]?.data);
    });
  });

  it('keep odd durations sample by sample', () => {
    const sample = (durationTicks: number): Sample => {
      return { decodeTicks: 0, durationTicks, offsetTicks: 0, sync: true, data: Buffer.of(1, 2, 3) };
    };
    const samples = [sample(1024), sample(1024), sample(512)];
    const segment = writeSegment({ trackId: 1, sequence: 1, decodeTicks: 0, samples, shiftTicks: 0 });
    assert.deepEqual(
      readSamples(segment).map((each) => each.durationTicks),
      [1024, 1024, 512],
    );
  });

  it('have a header without user data', async () => {
    const init = makeInitSegment(await fragmented(), 0);
    assert.ok(!init.includes('udta') && !init.includes('edts'));
    assert.equal(init.toString('latin1', 8, 12), 'cmfc');
  });
});

describe('NAL units', () => {
  const unit = (type: number, bytes: number) => Buffer.concat([uint32(bytes), Buffer.alloc(bytes, type)]);

  it('tell IDR pictures from others', () => {
    assert.deepEqual(nalUnitTypes(Buffer.concat([unit(6, 3), unit(5, 9)])), [6, 5]);
    assert.equal(isIdr(Buffer.concat([unit(6, 3), unit(5, 9)])), true);
    assert.equal(isIdr(Buffer.concat([unit(5, 3), unit(1, 9)])), false);
    assert.equal(isIdr(unit(6, 3)), false);
  });

  it('are MP4_MALFORMED when longer than their sample', () => {
    assert.throws(() => nalUnitTypes(unit(5, 9).subarray(0, 8)), malformed);
    assert.throws(() => nalUnitTypes(Buffer.alloc(5)), malformed);
  });
});
