import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { ServiceRegistration } from '../../server/rpc/handler.ts';
import { type RpcServer, startRpcServer } from '../../server/rpc/server.ts';

/** A gRPC server with these services on a free port of 127.0.0.1; calls in flight get a second to end. */
export function startServices(...services: readonly ServiceRegistration[]): Promise<RpcServer> {
  return startServicesAt('127.0.0.1:0', ...services);
}

/** The same at an address, e.g. the one of a server that was closed. */
export function startServicesAt(address: string, ...services: readonly ServiceRegistration[]): Promise<RpcServer> {
  return startRpcServer({
    address,
    services,
    log: silentLogger,
    clock: systemClock,
    maxMessageBytes: 4_194_304,
    maxMetadataBytes: 16_384,
    drainTimeoutMs: 1_000,
    reflection: false,
    health: false,
  });
}
