import type { Server } from '@grpc/grpc-js';
import { settlesWithin } from '../core/settles-within.ts';
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
  const { promise: isDrained, resolve } = Promise.withResolvers<void>();
  // It resolves when all connections are closed; they close after their last stream.
  server.tryShutdown(() => resolve());
  if (await settlesWithin(host.clock, drainTimeoutMs, isDrained)) return;
  const calls = host.inFlight.toArray();
  host.log.warn('drain timeout: aborting calls in flight', { calls: calls.length });
  for (const run of calls) run.stop(serverClosing());
  await settlesWithin(host.clock, forceDelayMs, isDrained);
  destroySessions(server);
  server.forceShutdown();
}
