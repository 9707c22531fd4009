import assert from 'node:assert/strict';
import { judgeEncode } from '../../workers/transcode/encode/judge-encode.ts';
import type { TranscodePlan } from '../../workers/transcode/plan/plan.ts';
import type { TrackAudit } from '../../workers/transcode/publish/track-audit.ts';
import { type AuditedAudio, type AuditedVideo, verifyTitle } from '../../workers/transcode/publish/verify-title.ts';

const plan = {
  rate: { num: 25, den: 1 },
  ticksPerFrame: 512,
  frameCount: 96,
  segments: [
    { start: 0, end: 48 },
    { start: 48, end: 96 },
  ],
} as unknown as TranscodePlan;

const good: TrackAudit = {
  id: 'video-720p',
  samples: 96,
  durationTicks: 96 * 512,
  firstPresentationTicks: 0,
  segmentStartTicks: [0, 48 * 512],
  windowPeakBps: 1_000_000,
  windowSeconds: 2,
  faults: [],
};

const rung = (more: Partial<TrackAudit> = {}, rates: Partial<AuditedVideo> = {}): AuditedVideo => ({
  audit: { ...good, ...more },
  declaredPeakBps: 1_000_000,
  maxrateKbps: 1000,
  bufsizeKbps: 1500,
  ...rates,
});

const audio = (samples: number): AuditedAudio => ({
  audit: { ...good, id: 'audio-en', durationTicks: samples, windowPeakBps: 1 },
  timescale: 48_000,
  skipTicks: 1024,
  declaredPeakBps: 1,
  frameSamples: 1024,
  loudness: null,
});

const failed = (video: readonly AuditedVideo[], sound?: AuditedAudio) =>
  verifyTitle(plan, video, sound ? [sound] : [])
    .checks.filter((check) => !check.ok)
    .map((check) => check.name);

describe('verification of a title', () => {
  it('passes a correct one', () => {
    assert.deepEqual(failed([rung(), rung()], audio(3.84 * 48_000 + 1024)), []);
  });

  for (const [name, video] of [
    ['frame_count', rung({ samples: 95 })],
    ['frame_count', rung({ durationTicks: 96 * 512 - 1 })],
    ['continuous_ticks', rung({ faults: ['segment 1: tick 1, not 2'] })],
    ['aligned_segments', rung({ segmentStartTicks: [0, 47 * 512] })],
    ['starts_at_zero', rung({ firstPresentationTicks: 1024 })],
    ['window_peak', rung({ windowPeakBps: 1_000_001 })],
    ['rate_cap', rung({ windowPeakBps: 2_700_000 }, { declaredPeakBps: 2_700_000 })],
  ] as const) {
    it(`fails ${name} alone when only that is wrong, in any rung`, () => {
      assert.deepEqual(failed([rung(), video]), [name]);
    });
  }

  it('fails audio that is a frame longer or shorter than the video', () => {
    const exact = 3.84 * 48_000 + 1024;
    assert.deepEqual(failed([rung()], audio(exact + 1023)), []);
    assert.deepEqual(failed([rung()], audio(exact + 1024)), ['audio_video_length']);
    assert.deepEqual(failed([rung()], audio(exact - 1024)), ['audio_video_length']);
  });
});

describe('judging an encode by its error lines', () => {
  const judge = (lines: readonly string[], exitCode: number, seek = false, indexed = true) =>
    judgeEncode('frames 0-47', { exitCode, errorLines: lines, droppedStderrBytes: 0, cpuSeconds: 0 }, seek, indexed);
  const damaged = '[h264 @ 0x55d0] [error] error while decoding MB 51 27, bytestream 3151';
  const leading = '[h264 @ 0x55d0] [error] mmco: unref short failure';
  const midway = '[h264 @ 0x55d0] [error] non-existing PPS 0 referenced';

  it('passes silence with exit code 0', () => {
    assert.deepEqual(judge([], 0), { error: undefined, excused: 0 });
  });

  it('blames the source for decode errors even when the exit code is 0', () => {
    assert.equal(judge([damaged], 0).error?.reason, 'SOURCE_UNREADABLE');
    assert.ok(!judge([damaged], 0).error?.message.includes('0x'));
  });

  it('excuses missing references only after a seek', () => {
    assert.deepEqual(judge([leading], 0, true), { error: undefined, excused: 1 });
    assert.equal(judge([leading], 0, false).error?.reason, 'SOURCE_UNREADABLE');
    assert.equal(judge([leading, damaged], 0, true).error?.reason, 'SOURCE_UNREADABLE');
  });

  it('excuses a start between keyframes only where the container has no index', () => {
    assert.equal(judge([midway], 0, true, false).error, undefined);
    assert.equal(judge([midway], 0, true, true).error?.reason, 'SOURCE_UNREADABLE');
  });

  it('does not blame the source for a failing encoder or a bare exit code', () => {
    assert.equal(judge(['[libx264 @ 0x1] [error] malloc failed'], 1).error?.reason, 'FFMPEG_FAILED');
    assert.equal(judge(['killed by SIGKILL'], 128).error?.reason, 'FFMPEG_FAILED');
    assert.equal(judge([], 234).error?.reason, 'FFMPEG_FAILED');
  });
});
