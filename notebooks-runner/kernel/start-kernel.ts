import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { type Random, systemRandom } from '../../server/core/random.ts';
import { kernelStartFailed } from '../errors.ts';
import { writeConnectionFile } from './connection-file.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { openKernelChannels } from './kernel-channels.ts';
import { deathSignalPrefix, spawnKernel } from './kernel-process.ts';
import type { Kernelspec } from './kernelspec.ts';
import { reserveLoopbackPorts } from './loopback-ports.ts';
import { type ProcessLimits, processLimitPrefix } from './process-limits.ts';
import { createWireCodec } from './wire-codec.ts';

export interface StartKernelOptions {
  readonly spec: Kernelspec;
  readonly cwd: string;
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Private folder (0700) for the connection file. */
  readonly runtimeDir: string;
  /** Enforced by the system where it can. Default none. */
  readonly processLimits?: ProcessLimits;
  /** How long until the kernel must answer, in ms. */
  readonly startTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
}

const maxAttempts = 4;
const portTaken = /address (already )?in use|AddrInUse|EADDRINUSE/i;

/** The kernel's ports were taken between our check and its bind. */
class PortsTaken extends Error {}

/**
 * Starts a kernel and waits until it is ready: it answers kernel_info on shell AND our subscription sees its iopub
 * (messages published before that are lost). Throws KERNEL_START_FAILED, or the signal's reason when aborted; no
 * process is left in either case.
 */
export async function startKernel(options: StartKernelOptions): Promise<Kernel> {
  const { spec, clock } = options;
  const deadlineMs = clock.monotonic() + options.startTimeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options, attempt, deadlineMs);
    } catch (error) {
      if (!(error instanceof PortsTaken)) throw error;
      if (attempt === maxAttempts) throw kernelStartFailed(spec.name, `its ports were taken ${attempt} times`, error);
      options.log.info('kernel ports taken: trying others', { attempt });
    }
  }
}

async function startOnce(options: StartKernelOptions, attempt: number, deadlineMs: number): Promise<Kernel> {
  const { spec, signal, random = systemRandom } = options;
  signal.throwIfAborted();
  // Asked at once, since each takes as long as the start of a small program.
  const prefix = processLimitPrefix(options.processLimits ?? {}, spec.dialect === 'deno');
  const [reservation] = await Promise.all([reserveLoopbackPorts(5, random), prefix, deathSignalPrefix()]);
  let kernel: Kernel | undefined;
  try {
    kernel = await openKernel(options, attempt, reservation.ports, await prefix);
    await waitReady(kernel, options, deadlineMs);
    return kernel;
  } catch (error) {
    await kernel?.kill();
    await kernel?.close();
    if (kernel !== undefined && portTaken.test(kernel.logTail())) throw new PortsTaken(kernel.logTail());
    signal.throwIfAborted();
    throw error instanceof Error && error.name === 'AppError'
      ? error
      : kernelStartFailed(spec.name, messageOf(error), error);
  } finally {
    reservation.release();
  }
}

async function openKernel(
  options: StartKernelOptions,
  attempt: number,
  ports: readonly number[],
  prefix: readonly string[],
): Promise<Kernel> {
  const { spec, clock, log } = options;
  const path = join(options.runtimeDir, `connection-${attempt}.json`);
  const connection = await writeConnectionFile(path, spec.name, ports);
  const argv = spec.argv.map((part) => part.replaceAll('{connection_file}', path));
  const process = await spawnKernel({ argv, cwd: options.cwd, env: options.env, prefix });
  const session = randomUUID();
  const codec = createWireCodec(connection.key, session, clock.now);
  return createKernel({
    spec,
    process,
    clock,
    log,
    refusedMessages: codec.rejected,
    open: (onMessage) =>
      openKernelChannels({ connection, codec, session, log, hasNagle: spec.dialect === 'deno', onMessage }),
  });
}

async function waitReady(kernel: Kernel, options: StartKernelOptions, deadlineMs: number): Promise<void> {
  const { spec, clock, signal, startTimeoutMs } = options;
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  const aborted = new Promise<void>((resolve) =>
    stop.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  try {
    for (;;) {
      const waitMs = Math.max(1, Math.min(1_000, deadlineMs - clock.monotonic()));
      const ready = await Promise.race([kernel.probe(waitMs), aborted.then(() => false)]);
      signal.throwIfAborted();
      if (ready) return;
      if (kernel.hasDied()) throw kernelStartFailed(spec.name, `its process ended${logText(kernel)}`);
      if (clock.monotonic() >= deadlineMs) {
        throw kernelStartFailed(spec.name, `not ready after ${startTimeoutMs} ms${logText(kernel)}`);
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort();
  }
}

function logText(kernel: Kernel): string {
  const tail = kernel.logTail();
  const refused = kernel.refusedMessages();
  return [
    refused === 0 ? '' : `; ${refused} of its messages were malformed or carried a wrong signature`,
    tail === '' ? '' : `; it wrote: ${tail.slice(-1_000)}`,
  ].join('');
}
