import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jupyterKernelDirs } from '../notebooks-runner/kernel/kernel-dirs.ts';
import { reapKernels } from '../notebooks-runner/kernel/kernel-folders.ts';
import { createKernelPool, type KernelPool } from '../notebooks-runner/kernel/kernel-pool.ts';
import { createEnvSecrets } from '../notebooks-runner/run/secrets.ts';
import { systemClock } from '../server/core/clock.ts';
import type { Config } from '../server/core/config/settings.ts';
import { messageOf } from '../server/core/errors.ts';
import type { Logger } from '../server/core/log.ts';
import type { ObjectStore } from '../server/stores/objects/object-store.ts';
import { createNotebookKind } from './notebook/notebook-kind.ts';
import type { JobKind } from './queue/job-kind.ts';
import { createTrainKind } from './train/train-kind.ts';
import { createTranscodeKinds } from './transcode/transcode-kinds.ts';

/** What the kinds of a process are made with. */
export interface JobKindsDeps {
  readonly config: Config;
  readonly objects: ObjectStore;
  readonly log: Logger;
  /** The process environment, for what programs are found by. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Registers what ends with the process; given by workers only, since a server runs no job. */
  readonly defer?: (name: string, release: () => Promise<void>) => void;
}

/** Every job kind of this build: the workers run them, the server checks parameters by them. */
export function createJobKinds(deps: JobKindsDeps): readonly JobKind[] {
  const { config, objects, log, env } = deps;
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
      secrets: createEnvSecrets(
        env,
        config.NOTEBOOK_SECRETS.split(',').map((name) => name.trim()),
      ),
      ...openKernels(deps),
    }),
    createTrainKind({ objects, log }),
  ];
}

/** Kernels that are started ahead, and their folder; what a killed worker left there is ended and removed. */
function openKernels({ config, log, defer }: JobKindsDeps): { pool?: KernelPool; kernelDir?: string } {
  if (defer === undefined) return {};
  const kernelDir = join(resolve(config.STATE_DIR), 'kernels');
  reapKernels(kernelDir).catch((error: unknown) => log.warn('old kernels not removed', { error: messageOf(error) }));
  const pool = createKernelPool({ clock: systemClock, log, maxIdle: config.NOTEBOOK_KERNELS_AHEAD });
  defer('notebook kernels', () => pool.close());
  return { pool, kernelDir };
}
