import type { Server, ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** grpc.health.v1.Health of one server. Its calls do not pass the filters: probes must answer under load shedding. */
export interface HealthService {
  /** Sets one service (`''` = the whole server); an unknown name is added. */
  setServing(service: string, isServing: boolean): void;
  /** Sets the whole server and every service NOT_SERVING. */
  announceClose(): void;
  /** As announceClose, then ends the Watch streams so that they do not hold up the drain. */
  close(): void;
}

/** Adds the health service to a server; the whole server and these services are SERVING from the start. */
export function addHealth(server: Server, services: readonly string[]): HealthService {
  const health = new HealthImplementation(Object.fromEntries(['', ...services].map((name) => [name, 'SERVING'])));
  const names = new Set(['', ...services]);
  const watching = new Set<ServerWritableStream<unknown, unknown>>();
  health.addToServer({
    addService: (definition, implementation) => {
      const { watch, ...others }: UntypedServiceImplementation = implementation;
      server.addService(definition, {
        ...others,
        watch: (call: ServerWritableStream<unknown, unknown>) => {
          watching.add(call);
          call.on('cancelled', () => watching.delete(call));
          (watch as (call: ServerWritableStream<unknown, unknown>) => void)(call);
        },
      });
    },
  });
  const announceClose = () => {
    for (const name of names) health.setStatus(name, 'NOT_SERVING');
  };
  return {
    announceClose,
    setServing: (service, isServing) => {
      names.add(service);
      health.setStatus(service, isServing ? 'SERVING' : 'NOT_SERVING');
    },
    close: () => {
      announceClose();
      for (const call of watching) call.end();
    },
  };
}
