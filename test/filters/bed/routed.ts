import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FilterEngine } from '../../../plugins/engine/engine.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { systemClock } from '../../../server/core/clock.ts';
import { type Logger, silentLogger } from '../../../server/core/log.ts';
import { createSeededRandom, type Random } from '../../../server/core/random.ts';
import type { RpcClient } from '../../../server/rpc/client.ts';
import { createOrigins, type OriginConnections } from '../../../server/rpc/raw-client.ts';
import type { RpcServer } from '../../../server/rpc/server.ts';
import type { EchoServiceDesc } from '../../rpc/fixtures/echo.ts';
import { type EchoFixture, type EchoImplementation, startEcho } from '../../rpc/fixtures/echo-server.ts';
import { createFilterFolders } from './filter-folders.ts';
import { shippedDir } from './shipped.ts';

/** Path of a method of the echo service. */
export const pathOf = (method: string) => `/test.echo.v1.EchoService/${method}`;

export interface RoutedBed extends AsyncDisposable {
  readonly engine: FilterEngine;
  readonly client: RpcClient<EchoServiceDesc>;
  readonly server: RpcServer;
  readonly origins: OriginConnections;
}

export interface RoutedOptions {
  /** Configuration by folder name of a shipped filter; the named ones are loaded. */
  readonly filters: Readonly<Record<string, object>>;
  /** TypeScript of further filters, by folder name. */
  readonly own?: Readonly<Record<string, string>>;
  /** Behaviour of the endpoint of this process; without it methods are unknown here. */
  readonly local?: Partial<EchoImplementation>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

/** A server with shipped filters of the routing family, and a client of it. */
export async function startRouted(options: RoutedOptions): Promise<RoutedBed> {
  const { clock = systemClock, random = createSeededRandom(11), log = silentLogger, own = {} } = options;
  const folders = await createFilterFolders();
  for (const name of Object.keys(options.filters)) {
    const url = pathToFileURL(join(shippedDir, name, 'filter.ts')).href;
    await folders.file(`${name}/filter.ts`, `export { filter } from '${url}';\n`);
  }
  for (const [name, fields] of Object.entries(own)) await folders.filter(name, fields);
  const config = Object.fromEntries(
    Object.entries(options.filters).map(([name, entry]) => [`showrunner.${name}`, entry]),
  );
  const origins = createOrigins({ maxMessageBytes: 65_536 });
  const engine = await folders.engine({ config, clock, random, log, capabilities: { origins } });
  const unknown = options.local === undefined ? { services: [] } : {};
  const front = await startEcho(options.local ?? {}, { pipeline: engine, ...unknown });
  return {
    ...{ engine, origins, client: front.client, server: front.server },
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]();
      await folders[Symbol.asyncDispose]();
      origins.close();
    },
  };
}

/** Several origins, each of which names itself in the `text` of its answers and counts its calls. */
export interface OriginFleet extends AsyncDisposable {
  readonly addresses: readonly string[];
  readonly calls: number[];
  /** Endpoints for the configuration, with zones where given. */
  endpoints(zones?: readonly string[]): { address: string; zone: string }[];
  /** Ends one at once: its connections are cut. */
  kill(index: number): Promise<void>;
}

export async function startFleet(
  count: number,
  behaviour: (index: number) => Partial<EchoImplementation> = () => ({}),
): Promise<OriginFleet> {
  const calls = new Array<number>(count).fill(0);
  const fleet: EchoFixture[] = [];
  for (let index = 0; index < count; index++) {
    const given = behaviour(index);
    const { echo = async () => ({ text: `o${index}` }) } = given;
    fleet.push(
      await startEcho(
        {
          ...given,
          echo: (request, context) => {
            calls[index] = (calls[index] ?? 0) + 1;
            return echo(request, context);
          },
        },
        { drainTimeoutMs: 0 },
      ),
    );
  }
  const addresses = fleet.map(({ server }) => server.address);
  return {
    addresses,
    calls,
    endpoints: (zones = []) => addresses.map((address, index) => ({ address, zone: zones[index] ?? '' })),
    kill: async (index) => fleet[index]?.[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: async () => {
      for (const one of fleet) await one[Symbol.asyncDispose]();
    },
  };
}

/** Requests of a stream. */
export async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

/** Routing configuration that sends everything to one cluster. */
export function allTo(endpoints: readonly object[], cluster: object = {}, extra: object = {}) {
  return { clusters: { c: { endpoints, ...cluster } }, rules: [{ name: 'all', cluster: 'c' }], ...extra };
}
