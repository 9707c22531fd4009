/** One server under measurement, in a process of its own: tells its address, then its CPU time whenever asked. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createFilterEngine } from '../../plugins/engine/engine.ts';
import type { CallPipeline } from '../../server/core/call.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createOrigins } from '../../server/rpc/raw-client.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { startBareProxy } from './bare-proxy.ts';
import { startBareServer } from './bare-server.ts';
import { type ServerVariant, stream, streamAnswer, streamLength, unary, unaryAnswer } from './service.ts';

async function startOurs(pipeline?: CallPipeline): Promise<string> {
  const server = await startRpcServer({
    address: '127.0.0.1:0',
    services: [
      { desc: unary.service, handlers: new Map([[unary.method.localName, async () => unaryAnswer]]) },
      {
        desc: stream.service,
        handlers: new Map([
          [
            stream.method.localName,
            async function* () {
              for (let sent = 0; sent < streamLength; sent++) yield streamAnswer;
            },
          ],
        ]),
      },
    ],
    pipeline,
    log: silentLogger,
    clock: systemClock,
    maxMessageBytes: 4_194_304,
    maxMetadataBytes: 16_384,
    drainTimeoutMs: 1_000,
    reflection: false,
    health: false,
  });
  return server.address;
}

const variant = process.argv[2] as ServerVariant;
const origin = process.argv[3] ?? '';

function start(): Promise<string> {
  switch (variant) {
    case 'bare':
      return startBareServer();
    case 'bare-proxy':
      return startBareProxy(origin);
    case 'ours':
      return startOurs();
    case 'chain':
      return startOurs({ open: () => undefined });
    case 'routed':
      return startRouted('/no.such.Service/*', origin);
    case 'proxy':
      return startRouted('*', origin);
  }
}

/** With the shipped routing filter alone, whose one rule sends these paths to the origin. */
async function startRouted(paths: string, address: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'showrunner-bench-'));
  const shipped = pathToFileURL(join(import.meta.dirname, '../../plugins/filters/routing/filter.ts')).href;
  mkdirSync(join(dir, 'routing'));
  writeFileSync(join(dir, 'routing/filter.ts'), `export { filter } from '${shipped}';\n`);
  const filters = await createFilterEngine({
    dirs: [dir],
    config: {
      'showrunner.routing': {
        clusters: { origin: { endpoints: [{ address }] } },
        rules: [{ paths: [paths], cluster: 'origin' }],
      },
    },
    capabilities: { origins: createOrigins({ maxMessageBytes: 4_194_304 }) },
    ...{ log: silentLogger, clock: systemClock, random: systemRandom, watch: false },
  });
  rmSync(dir, { recursive: true });
  return startOurs(filters);
}

const address = await start();
process.send?.({ address });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.on('disconnect', () => process.exit(0));
