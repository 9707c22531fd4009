import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { EncodeSet, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import type { TranscodeDeps } from '../../workers/transcode/transcode-deps.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { type JobRun, type RunJobOptions, runJob } from './run-job.ts';

export const clipPath = 'data/video/big-buck-bunny-5s-720p.mp4';

/** A small ladder for made-up sources: one cheap rung. */
export const smallLadder = [{ height: 144, crf: 23, maxrateKbps: 800 }];

export interface TranscodeFixture {
  readonly objects: ObjectStore;
  /** Folder of the object store: every object is a plain file there. */
  readonly objectsDir: string;
  readonly dir: string;
  /** Stores a local file as the source `uploads/{name}`. */
  upload(path: string, name?: string): Promise<string>;
  run(params: { [key: string]: unknown }, more?: Partial<RunJobOptions>): Promise<JobRun>;
  /** As run, giving the job's result. */
  transcode(params: { [key: string]: unknown }, more?: Partial<RunJobOptions>): Promise<TranscodeResult>;
  encodeSet(result: TranscodeResult): Promise<EncodeSet>;
  keys(prefix: string): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A folder object store and the transcode kinds over it. */
export async function createTranscodeFixture(deps: Partial<TranscodeDeps> = {}): Promise<TranscodeFixture> {
  const temp = await createTempDir();
  const objectsDir = join(temp.path, 'objects');
  const objects = await openFolderObjects({ dir: objectsDir, clock: systemClock, log: silentLogger });
  const kinds = createTranscodeKinds({ objects, log: silentLogger, ...deps });
  const run: TranscodeFixture['run'] = (params, more) =>
    runJob({ kinds, kind: 'transcode', params: params as RunJobOptions['params'], dir: temp.path, ...more });
  return {
    objects,
    objectsDir,
    dir: temp.path,
    run,
    upload: async (path, name = 'source') => (await objects.putFile(`uploads/${name}`, path)).key,
    transcode: async (params, more) => (await run(params, more)).result as unknown as TranscodeResult,
    encodeSet: async (result) => JSON.parse(Buffer.from(await objects.read(result.encodeSetKey)).toString()),
    keys: async (prefix) => (await objects.list(prefix, { limit: 1000 })).map((info) => info.key),
    [Symbol.asyncDispose]: async () => {
      await objects.close();
      await temp[Symbol.asyncDispose]();
    },
  };
}
