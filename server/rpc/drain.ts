import type { Server } from '@grpc/grpc-js';
import type { RpcHost } from './call/call-run.ts';
import { serverClosing } from './errors.ts';
import { destroySessions } from './grpc-internals.ts';
import type { HealthService } from './health.ts';

/** What is to be closed, and how patiently. */
export interface Drain {
  readonly server: Server;
  readonly host: RpcHost;
  readonly health: HealthService | undefined;
  /** How long calls in flight may go on, in ms. */
  readonly drainTimeoutMs: number;
}

/** After the abort, calls get this long to send their status before connections are cut, in ms. */
const forceDelayMs = 250;

/** Streams that tell of changes have no end of their own, and their callers go on elsewhere from what they saw last. */
const endless = /^Watch/;

/** Health first, then no new calls, then an end to watches, then the wait, then force. Never rejects. */
export async function closeServer({ server, host, health, drainTimeoutMs }: Drain): Promise<void> {
  health?.close();
  host.isClosing = true;
  for (const run of host.inFlight.toArray()) {
    if (run.kind === 'server_stream' && endless.test(run.method)) run.stop(serverClosing());
  }
  const { promise: isDrained, resolve } = Promise.withResolvers<true>();
  // It resolves when all connections are closed; they close after their last stream.
  server.tryShutdown(() => resolve(true));
  if (await within(host, drainTimeoutMs, isDrained)) return;
  const calls = host.inFlight.toArray();
  host.log.warn('drain timeout: aborting calls in flight', { calls: calls.length });
  for (const run of calls) run.stop(serverClosing());
  await within(host, forceDelayMs, isDrained);
  destroySessions(server);
  server.forceShutdown();
}

async function within(host: RpcHost, timeoutMs: number, isDrained: Promise<true>): Promise<boolean> {
  const { promise: isLate, resolve } = Promise.withResolvers<false>();
  const cancel = host.clock.schedule(timeoutMs, () => resolve(false));
  try {
    return await Promise.race([isDrained, isLate]);
  } finally {
    cancel();
  }
}
