import { constants } from 'node:os';

/** A signal that asked a command to end. */
export interface EndSignal {
  readonly name: 'SIGINT' | 'SIGTERM';
  /** What a command exits with that the signal kept from its end: 128 and the signal's number, as shells have it. */
  readonly exitCode: number;
}

/** The first SIGINT or SIGTERM from now on; the next one ends the process at once, with exit code 1. */
export function firstSignal(): Promise<EndSignal> {
  const { promise, resolve } = Promise.withResolvers<EndSignal>();
  let isAsked = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (isAsked) process.exit(1);
      isAsked = true;
      resolve({ name, exitCode: 128 + constants.signals[name] });
    });
  }
  return promise;
}
