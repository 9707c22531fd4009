import assert from 'node:assert/strict';
import { Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { WatchTranscodeResponse } from '../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import type { TranscodePart } from '../../server/transcode/rung-progress.ts';
import {
  createTranscodeService,
  type TranscodeJobs,
  type TranscodeServiceDeps,
} from '../../server/transcode/service.ts';
import { withPulse } from '../../server/transcode/with-pulse.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createTranscodeFixture } from './transcode-fixture.ts';

const plan = {
  frameCount: 200,
  chunks: [
    { start: 0, end: 100 },
    { start: 100, end: 200 },
  ],
  rungs: [{ id: '720p', codec: 'h264' }],
};
const planKey = 'transcode/plans/a.json';

type Event = ReturnType<TranscodeJobs['watch']> extends AsyncIterable<infer T> ? T : never;

describe('a watch of a transcode', () => {
  it('tells how far its rungs are also while no part of it ends, and nothing when they got no further', async () => {
    await using fixture = await createTranscodeFixture();
    await fixture.objects.put(planKey, Buffer.from(JSON.stringify(plan)));
    const clock = createFakeClock();
    const part = (chunk: number): TranscodePart => {
      return { kind: 'encode-chunk', params: { plan: planKey, chunk }, isDone: false, frames: 0 };
    };
    let parts = [part(0), part(1)];
    const ends = Promise.withResolvers<void>();
    const jobs: Pick<TranscodeJobs, 'get' | 'watch' | 'parts'> = {
      get: async () => ({ kind: 'transcode' }),
      parts: async () => parts,
      watch: async function* () {
        yield { sequence: 1n, event: { case: 'progress', value: { stage: 'encode', fraction: 0.05 } } } as Event;
        await ends.promise;
        yield { sequence: 2n, event: { case: 'state', value: Job_State.SUCCEEDED } } as Event;
      },
    };
    const { objects } = fixture;
    const service = createTranscodeService({ objects, clock, jobs, uploads: {} } as unknown as TranscodeServiceDeps);
    const watch = service.handlers.get('watchTranscode') as (
      request: { name: string; afterSequence: bigint },
      call: { signal: AbortSignal },
    ) => AsyncIterable<WatchTranscodeResponse>;
    const told: string[] = [];
    const { signal } = new AbortController();
    const watching = (async () => {
      for await (const { event, rungs } of watch({ name: 'transcodes/a', afterSequence: 0n }, { signal })) {
        const seconds = rungs.map(({ remainingTime }) => remainingTime?.seconds ?? '-');
        told.push(`${event?.sequence ?? '-'}: ${rungs.map(({ frames }) => frames)} frames, ${seconds} s left`);
      }
    })();
    const next = async (line: string) => {
      await waitUntil('the watch waits', () => clock.waiting > 0);
      await clock.advance(2_000);
      if (line !== '') await waitUntil(line, () => told.at(-1) === line);
    };
    await waitUntil('it begins', () => told.length === 1);
    const startMs = clock.now();
    parts = [{ ...part(0), frames: 40, startMs }, part(1)];
    await next('-: 40 frames, 8 s left');
    await next('');
    parts = [{ ...part(0), frames: 80, startMs }, part(1)];
    await next('-: 80 frames, 9 s left');
    ends.resolve();
    await watching;
    const first = '1: 0 frames, - s left';
    assert.deepEqual(told, [first, '-: 40 frames, 8 s left', '-: 80 frames, 9 s left', '2:  frames,  s left']);
  });

  it('ends with its error, and with the signal also while nothing comes', async () => {
    const clock = createFakeClock();
    const broken = (async function* () {
      yield 1;
      throw new Error('gone');
    })();
    const seen: unknown[] = [];
    const { signal } = new AbortController();
    await assert.rejects(async () => {
      for await (const item of withPulse(broken, 1_000, clock, signal)) seen.push(item);
    }, /gone/);
    assert.deepEqual(seen, [1]);
    const controller = new AbortController();
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    const waiting = withPulse(silent, 1_000, clock, controller.signal).next();
    controller.abort(new Error('left'));
    await assert.rejects(waiting, /left/);
    assert.equal(clock.waiting, 0);
  });
});
