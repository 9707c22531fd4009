import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobKind, Json } from '../../workers/queue/job-kind.ts';
import { resolveFfmpeg } from '../../workers/transcode/ffmpeg/ffmpeg-binaries.ts';
import type { LadderReport } from '../../workers/transcode/quality/ladder-report.ts';
import type { QualityReport } from '../../workers/transcode/quality/score-title-kind.ts';
import type { TranscodeDeps } from '../../workers/transcode/transcode-deps.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const searchPath = process.env['PATH'] ?? '';
const source = { titleId: 'titles/unfit', sourceKey: 'uploads/source' };

/** The installed ffmpeg, which does all of the work, with some of what it can do left out of what it lists. */
async function hiding(dir: string, ...names: string[]): Promise<string> {
  const { ffmpeg } = await resolveFfmpeg({ searchPath });
  const path = join(dir, `without-${names[0]}`);
  const lists = `*" -encoders "*|*" -filters "*) '${ffmpeg}' "$@" | grep -v -E '${names.join('|')}' ;;`;
  await writeFile(path, `#!/bin/sh\ncase " $* " in ${lists} *) exec '${ffmpeg}' "$@" ;; esac\n`);
  await chmod(path, 0o755);
  return path;
}

describe('a worker whose ffmpeg lacks something', () => {
  let fixture: TranscodeFixture;
  /** A real build without libvmaf, and none of a package to take its place. */
  let withoutVmaf: Partial<TranscodeDeps>;
  before(async () => {
    fixture = await createTranscodeFixture();
    withoutVmaf = { ffmpegPath: await hiding(fixture.dir, 'libvmaf'), scoringFfmpegs: [] };
    const args = ['-f', 'lavfi', '-i', 'testsrc2=s=192x144:r=15:d=10', ...sourceCodec];
    await fixture.upload(await makeSource('unfit.mp4', args));
  });
  after(() => fixture[Symbol.asyncDispose]());

  const kindsOf = (deps: Partial<TranscodeDeps>) =>
    createTranscodeKinds({ objects: fixture.objects, log: silentLogger, ...deps });
  const whyUnfit = async (kinds: readonly JobKind[], name: string, params: Json) => {
    const kind = kinds.find((each) => each.name === name);
    return (await kind?.whyUnfit?.(kind.parseParams(params)))?.reason;
  };

  it('leaves titles of codecs that it cannot encode to others', async () => {
    const lacking = kindsOf({ ffmpegPath: await hiding(fixture.dir, 'libsvtav1', 'libaom', 'libx265', 'libopus') });
    const why = (more: { [key: string]: Json }) => whyUnfit(lacking, 'transcode', { ...source, ...more });
    assert.equal(await why({}), undefined);
    assert.equal(await why({ codecs: ['h264', 'av1'] }), 'CODEC_UNAVAILABLE');
    assert.equal(await why({ hdr: 'keep' }), 'CODEC_UNAVAILABLE');
    assert.equal(await why({ audioCodecs: ['aac', 'opus'] }), 'CODEC_UNAVAILABLE');
    const none = kindsOf({ ffmpegPath: join(fixture.dir, 'absent') });
    assert.equal(await whyUnfit(none, 'transcode', source), 'FFMPEG_MISSING');
  });

  it('makes a ladder of the title by SSIM, and a score by it unless VMAF is asked for', async () => {
    const kinds = kindsOf(withoutVmaf);
    const result = await fixture.transcode({ ...source, ladderMode: 'per-title', analysisCpuSeconds: 1 }, { kinds });
    const report = Buffer.from(await fixture.objects.read(result.ladderObjectKey)).toString();
    const { mode, codecs } = JSON.parse(report) as LadderReport;
    assert.deepEqual([mode, codecs[0]?.metric], ['per-title', 'ssim']);
    const { encodeSetKey } = result;
    const score = (metric: { [key: string]: string }) =>
      fixture.run({ encodeSetKey, ...metric }, { kinds, kind: 'score-title' });
    const scored = (await score({})).result as unknown as QualityReport;
    assert.equal(scored.metric, 'ssim');
    assert.ok(scored.rungs.every((rung) => rung.score > 5));
    await rejectsWith(score({ metric: 'vmaf' }), Code.FAILED_PRECONDITION, 'METRIC_UNAVAILABLE');
    assert.equal(await whyUnfit(kinds, 'score-title', { encodeSetKey, metric: 'vmaf' }), 'METRIC_UNAVAILABLE');
    assert.equal(await whyUnfit(kinds, 'score-title', { encodeSetKey }), undefined);
  });

  it('leaves parts of titles that were planned for another build to others', async () => {
    const result = await fixture.transcode({ ...source, ladder: smallLadder });
    const { planObjectKey: plan } = await fixture.encodeSet(result);
    const { ffmpeg } = await resolveFfmpeg({ searchPath });
    const other = join(fixture.dir, 'other-build');
    const version = `[ "$2" = -version ] && echo 'ffmpeg version 6.0 Copyright' && exit`;
    await writeFile(other, `#!/bin/sh\n${version}\nexec '${ffmpeg}' "$@"\n`);
    await chmod(other, 0o755);
    const [same, foreign] = [kindsOf({}), kindsOf({ ffmpegPath: other })];
    for (const [kind, params] of [
      ['encode-chunk', { plan, chunk: 0 }],
      ['encode-chunk-av1', { plan, chunk: 0 }],
      ['encode-audio', { plan, track: 0 }],
      ['extract-text', { plan }],
      ['make-thumbnails', { plan }],
      ['trial-encode', { plan, sample: 0, metric: 'ssim' }],
    ] as const) {
      assert.equal(await whyUnfit(same, kind, params), undefined, kind);
      assert.equal(await whyUnfit(foreign, kind, params), 'ENCODER_MISMATCH', kind);
    }
    assert.equal(
      await whyUnfit(kindsOf(withoutVmaf), 'trial-encode', { plan, sample: 0, metric: 'vmaf' }),
      'METRIC_UNAVAILABLE',
    );
  });
});
