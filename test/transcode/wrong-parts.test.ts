import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobKind } from '../../workers/queue/job-kind.ts';
import type { ChunkRecord } from '../../workers/transcode/encode/encode-chunk.ts';
import type { TranscodePlan } from '../../workers/transcode/plan/plan.ts';
import { savePlan } from '../../workers/transcode/plan/plan-store.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { stitchVideo } from '../../workers/transcode/publish/stitch.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import type { JobRun } from './run-job.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const params = { titleId: 'titles/parts', sourceKey: 'uploads/source', ladder: smallLadder, loudnessLufs: 0 };
const signal = new AbortController().signal;

describe('parts that do not fit', () => {
  let fixture: TranscodeFixture;
  let run: JobRun;
  let plan: TranscodePlan;

  before(async () => {
    fixture = await createTranscodeFixture();
    const srt = join(fixture.dir, 'parts.srt');
    await writeFile(srt, '1\n00:00:01,000 --> 00:00:02,000\nA line of some length\n');
    const inputs = ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=5', '-f', 'lavfi', '-i', 'sine=d=5', '-i', srt];
    await fixture.upload(await makeSource('parts.mkv', [...inputs, ...sourceCodec, '-c:a', 'flac', '-c:s', 'srt']));
    run = await fixture.run(params);
    const set = await fixture.encodeSet(run.result as unknown as TranscodeResult);
    plan = JSON.parse(Buffer.from(await fixture.objects.read(set.planObjectKey)).toString());
  });
  after(() => fixture[Symbol.asyncDispose]());

  const chunks = () =>
    run.children.flatMap(({ job, result }) => (job.kind === 'encode-chunk' ? [result as unknown as ChunkRecord] : []));

  it('are not joined when their headers differ', async () => {
    const ordered = chunks().toSorted((a, b) => a.start - b.start);
    const other = ordered.map((chunk, index) => {
      if (index !== 1) return chunk;
      return { ...chunk, rungs: chunk.rungs.map((rung) => ({ ...rung, initSha256: 'another' })) };
    });
    const error = await rejectsWith(
      stitchVideo(fixture.objects, plan, other, '144p', signal),
      Code.INTERNAL,
      'ENCODE_REJECTED',
    );
    assert.match(error.message, /the header of the chunk at frame 48 differs/);
    await rejectsWith(stitchVideo(fixture.objects, plan, ordered, '90p', signal), Code.INTERNAL, 'ENCODE_REJECTED');
  });

  it('fail the title when a chunk holds other frames than planned, and nothing of it is published', async () => {
    const swapped = (kind: JobKind): JobKind => ({
      ...kind,
      run: async (context, given) => {
        const { plan: key, chunk } = given as { plan: string; chunk: number };
        if (chunk !== 1) return kind.run(context, given);
        const { start = 0, end = 0 } = plan.chunks[1] ?? {};
        const last = (await kind.run(context, { plan: key, chunk: 2 })) as unknown as ChunkRecord;
        return { ...last, start, end } as never;
      },
    });
    const kinds = createTranscodeKinds({ objects: fixture.objects, log: silentLogger }).map((kind) =>
      kind.name === 'encode-chunk' ? swapped(kind) : kind,
    );
    const titleId = 'titles/swapped';
    const error = await rejectsWith(
      fixture.run({ ...params, titleId }, { kinds }),
      Code.INTERNAL,
      'VERIFICATION_FAILED',
    );
    assert.match(error.message, /frame_count/);
    const keys = await fixture.keys(`${titleId}/`);
    assert.ok(!keys.some((key) => /encode-set|master|manifest/.test(key)), keys.join());
  });

  /** The kinds, of which one finds its first part damaged as soon as it has made it: one bit is another. */
  const damaging = (name: string) =>
    createTranscodeKinds({ objects: fixture.objects, log: silentLogger }).map((kind) => {
      if (kind.name !== name) return kind;
      const run: JobKind['run'] = async (context, given) => {
        const made = await kind.run(context, given);
        const { 0: key = '' } = JSON.stringify(made).match(/transcode\/[\w/]+\/(?!commit)[\w-]+\.\w+/) ?? [];
        const path = await fixture.objects.localPath(key);
        const bytes = await readFile(path);
        const at = Math.floor(bytes.length * 0.6);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        await writeFile(path, bytes);
        return made;
      };
      return { ...kind, run };
    });

  for (const name of ['encode-chunk', 'encode-audio', 'extract-text', 'make-thumbnails']) {
    it(`fail the title when what ${name} stored is damaged afterwards, and the next run makes it anew`, async () => {
      const titleId = `titles/damaged-${name}`;
      await rejectsWith(
        fixture.run({ ...params, titleId }, { kinds: damaging(name) }),
        Code.DATA_LOSS,
        'CONTENT_MISMATCH',
      );
      const keys = await fixture.keys(`${titleId}/`);
      assert.ok(!keys.some((key) => /encode-set|master|manifest/.test(key)), keys.join());
      const again = await fixture.transcode({ ...params, titleId });
      const first = run.result as unknown as TranscodeResult;
      const digests = (result: TranscodeResult) => result.files.slice(0, 4).map(({ id, sha256 }) => [id, sha256]);
      assert.deepEqual(digests(again), digests(first));
    });
  }

  it('are not made by another build than the plan was made for', async () => {
    const other = await savePlan(fixture.objects, { ...plan, encoderBuild: '4.4/000000000000' }, signal);
    // Another build gives other bytes, so nothing that is stored is taken for it.
    const chunk = fixture.run({ plan: other, chunk: 0 }, { kind: 'encode-chunk' });
    await rejectsWith(chunk, Code.FAILED_PRECONDITION, 'ENCODER_MISMATCH');
  });

  it('are not made of a chunk that the plan does not have', async () => {
    const set = await fixture.encodeSet(run.result as unknown as TranscodeResult);
    const chunk = fixture.run({ plan: set.planObjectKey, chunk: 99 }, { kind: 'encode-chunk' });
    await rejectsWith(chunk, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const key = fixture.run({ plan: 'titles/parts', chunk: 0 }, { kind: 'encode-chunk' });
    await rejectsWith(key, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});
