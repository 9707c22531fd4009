import { randomUUID } from 'node:crypto';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { kernelStartFailed } from '../errors.ts';
import { createKernel, type Kernel } from './kernel.ts';
import { lastLines } from './kernel-process.ts';
import { type LaunchedKernel, type LaunchOptions, launchKernel } from './launch-kernel.ts';
import { distrustPrefix } from './process-prefix.ts';
import { createWireCodec } from './wire-codec.ts';

interface StartKernelOptions {
  /** How its process was launched, and is again when its ports were taken. */
  readonly launch: LaunchOptions;
  readonly launched: LaunchedKernel;
  /** How long until the kernel must answer, in ms. */
  readonly startTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const maxAttempts = 4;
const portTaken = /address (already )?in use|AddrInUse|EADDRINUSE/i;

/** The kernel is worth another start: its ports were taken between our check and its bind, or its prefix was at fault. */
class Relaunch extends Error {}

/**
 * Waits until a launched kernel is ready: it answers kernel_info on shell AND our subscription sees its iopub
 * (messages published before that are lost), and it has run what makes it quick. Throws KERNEL_START_FAILED, or the
 * signal's reason when aborted; no process is left in either case.
 */
export async function startKernel(options: StartKernelOptions): Promise<Kernel> {
  const { launch, clock, startTimeoutMs } = options;
  const { name } = launch.spec;
  const deadlineMs = clock.monotonic() + startTimeoutMs;
  let { launched } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options, launched, deadlineMs);
    } catch (error) {
      if (!(error instanceof Relaunch)) throw error;
      if (attempt === maxAttempts) throw kernelStartFailed(name, `${error.message}, ${attempt} times`, error);
      options.log.info('kernel launched again', { attempt, cause: error.message });
      launched = await launchKernel(launch);
    }
  }
}

async function startOnce(options: StartKernelOptions, launched: LaunchedKernel, deadlineMs: number): Promise<Kernel> {
  const { launch, signal } = options;
  let kernel: Kernel | undefined;
  try {
    signal.throwIfAborted();
    kernel = await connect(options, launched);
    await waitReady(kernel, options, deadlineMs);
    await prepare(kernel, options, deadlineMs);
    return kernel;
  } catch (error) {
    launched.process.signalGroup('SIGKILL');
    await launched.process.exited;
    await kernel?.close();
    signal.throwIfAborted();
    const tail = launched.process.logTail();
    if (portTaken.test(tail)) throw new Relaunch('its ports were taken');
    if (distrustPrefix(tail)) throw new Relaunch('it cannot be started with limits as they were set');
    throw error instanceof Error && error.name === 'AppError'
      ? error
      : kernelStartFailed(launch.spec.name, messageOf(error), error);
  } finally {
    launched.releasePorts();
  }
}

async function connect(options: StartKernelOptions, { process, connection }: LaunchedKernel): Promise<Kernel> {
  const { clock, log } = options;
  const { spec } = options.launch;
  // Loaded while the kernel's process comes up.
  const { openKernelChannels } = await import('./kernel-channels.ts');
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

/** A kernel that answers but runs nothing is none. */
async function prepare(kernel: Kernel, options: StartKernelOptions, deadlineMs: number): Promise<void> {
  const { clock, signal, startTimeoutMs } = options;
  const stop = new AbortController();
  try {
    const isLate = clock.sleep(Math.max(1, deadlineMs - clock.monotonic()), AbortSignal.any([signal, stop.signal]));
    const isReady = await Promise.race([kernel.prepare().then(() => true), isLate.then(() => false)]);
    if (!isReady)
      throw kernelStartFailed(kernel.spec.name, `ran no code within ${startTimeoutMs} ms${logText(kernel)}`);
  } finally {
    stop.abort();
  }
}

async function waitReady(kernel: Kernel, options: StartKernelOptions, deadlineMs: number): Promise<void> {
  const { clock, signal, startTimeoutMs } = options;
  const { spec } = kernel;
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
    tail === '' ? '' : `; it wrote: ${lastLines(tail, 1_000)}`,
  ].join('');
}
