import { fileURLToPath } from 'node:url';
import { jupyterKernelDirs } from '../notebooks-runner/kernel/kernel-dirs.ts';
import type { Config } from '../server/core/config/settings.ts';
import type { Logger } from '../server/core/log.ts';
import type { ObjectStore } from '../server/stores/objects/object-store.ts';
import { createNotebookKind } from './notebook/notebook-kind.ts';
import type { JobKind } from './queue/job-kind.ts';
import { createTrainKind } from './train/train-kind.ts';
import { createTranscodeKinds } from './transcode/transcode-kinds.ts';

export interface JobKindsDeps {
  readonly config: Config;
  readonly objects: ObjectStore;
  readonly log: Logger;
  /** The process environment, for what programs are found by. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Every job kind of this build: the workers run them, the server checks parameters by them. */
export function createJobKinds({ config, objects, log, env }: JobKindsDeps): readonly JobKind[] {
  return [
    ...createTranscodeKinds({
      objects,
      log,
      ffmpegPath: config.FFMPEG,
      ffprobePath: config.FFPROBE,
      searchPath: env['PATH'],
    }),
    createNotebookKind({
      objects,
      log,
      deno: config.DENO,
      kernelDirs: jupyterKernelDirs(env),
      notebooksDir: fileURLToPath(new URL('../notebooks', import.meta.url)),
      hostEnv: env,
    }),
    createTrainKind({ objects, log }),
  ];
}
