import { join } from 'node:path';
import { messageOf } from '../../server/core/errors.ts';
import { type Random, systemRandom } from '../../server/core/random.ts';
import { kernelStartFailed } from '../errors.ts';
import { type ConnectionInfo, writeConnectionFile } from './connection-file.ts';
import { type KernelProcess, spawnKernel } from './kernel-process.ts';
import type { Kernelspec } from './kernelspec.ts';
import { reserveLoopbackPorts } from './loopback-ports.ts';
import { type ProcessLimits, processPrefix } from './process-prefix.ts';

/** The process of one kernel. */
export interface LaunchOptions {
  readonly spec: Kernelspec;
  /** Its working directory. */
  readonly cwd: string;
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Private folder (0700) for the connection file. */
  readonly runtimeDir: string;
  /** Enforced by the system where it can. Default none. */
  readonly processLimits?: ProcessLimits;
  readonly random?: Random;
}

/** A kernel process that has been started; nobody has talked to it. */
export interface LaunchedKernel {
  readonly process: KernelProcess;
  readonly connection: ConnectionInfo;
  /** Lets other starts have its ports; call once it listens or has ended. */
  releasePorts(): void;
}

let launches = 0;

/**
 * Starts the process of a kernel and returns at once; it loads nothing of the wire protocol, which takes longer. Throws
 * KERNEL_START_FAILED where the files for it cannot be written; a program that cannot be run is a process that ended.
 */
export async function launchKernel(options: LaunchOptions): Promise<LaunchedKernel> {
  const { spec, runtimeDir, cwd, env, random = systemRandom } = options;
  const [reservation, prefix] = await Promise.all([
    reserveLoopbackPorts(5, random),
    processPrefix(options.processLimits ?? {}, spec.dialect === 'deno'),
  ]);
  try {
    const path = join(runtimeDir, `connection-${++launches}.json`);
    const connection = await writeConnectionFile(path, spec.name, reservation.ports);
    const argv = spec.argv.map((part) => part.replaceAll('{connection_file}', path));
    const process = spawnKernel({ argv, cwd, env, prefix });
    return { process, connection, releasePorts: reservation.release };
  } catch (error) {
    reservation.release();
    throw kernelStartFailed(spec.name, messageOf(error), error);
  }
}
