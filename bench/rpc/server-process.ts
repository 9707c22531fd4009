/** One server under measurement, in a process of its own: tells its address, then its CPU time whenever asked. */
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createFilterEngine } from '../../plugins/engine/engine.ts';
import type { CallPipeline } from '../../server/core/call.ts';
import { systemClock } from '../../server/core/clock.ts';
import { createLineWriter } from '../../server/core/line-writer.ts';
import { createLogger, silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createOrigins } from '../../server/rpc/raw-client.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { startBareProxy } from './bare-proxy.ts';
import { startBareServer } from './bare-server.ts';
import { benchKey, type ServerVariant, stream, streamAnswer, streamLength, unary, unaryAnswer } from './service.ts';

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

async function start(): Promise<string> {
  switch (variant) {
    case 'bare':
      return startBareServer();
    case 'bare-proxy':
      return startBareProxy(origin);
    case 'ours':
      return startOurs();
    case 'chain':
      return startOurs(await startEmptyEngine());
    case 'filters10':
      return startFiltered();
    case 'routed':
      return startRouted('/no.such.Service/*', origin);
    case 'proxy':
      return startRouted('*', origin);
  }
}

/** The engine without a filter. */
async function startEmptyEngine(): Promise<CallPipeline> {
  const dir = mkdtempSync(join(tmpdir(), 'showrunner-bench-'));
  const engine = await createFilterEngine({
    ...{ dirs: [dir], config: {}, watch: false },
    ...{ log: silentLogger, clock: systemClock, random: systemRandom },
  });
  rmSync(dir, { recursive: true });
  return engine;
}

/**
 * With ten shipped filters that all take part in every call: authentication by key, access log (its lines are
 * written to /dev/null), rate limit, concurrency limit, load shedding, breaker, bulkhead, deadline budget, debugging and routing.
 */
async function startFiltered(): Promise<string> {
  const sink = openSync('/dev/null', 'w');
  const lines = createLineWriter({ output: { write: (text) => writeSync(sink, text), writableLength: 0 } });
  const enabled = { enabled: true };
  const filters = await createFilterEngine({
    dirs: [join(import.meta.dirname, '../../plugins/filters')],
    config: {
      'showrunner.auth': { keys: [{ id: 'bench', secret: benchKey, scopes: ['bench'] }] },
      'showrunner.rate-limit': { ratePerSecond: 1e6, burst: 1e6 },
      'showrunner.concurrency-limit': { ...enabled, unary: { initial: 500, min: 200 } },
      // A busy machine must not make it refuse calls.
      'showrunner.load-shedding': { ...enabled, loopLagMs: { throttleAt: 10_000, saturateAt: 60_000 } },
      'showrunner.circuit-breaker': enabled,
      'showrunner.bulkhead': { ...enabled, limit: 10_000 },
      'showrunner.deadline-budget': { ...enabled, maxMs: 30_000 },
      'showrunner.surgical-debug': {
        ...enabled,
        rules: [{ name: 'nobody', principals: ['nobody'], expiresAt: new Date(Date.now() + 3_600_000).toISOString() }],
      },
      'showrunner.routing': {
        clusters: { origin: { endpoints: [{ address: '127.0.0.1:1' }] } },
        rules: [{ paths: ['/no.such.Service/*'], cluster: 'origin' }],
      },
    },
    capabilities: { origins: createOrigins({ maxMessageBytes: 4_194_304 }) },
    log: createLogger({ level: 'info', write: (line, isUrgent) => lines.write(line, isUrgent) }),
    ...{ clock: systemClock, random: systemRandom, watch: false },
  });
  return startOurs(filters);
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
// A difference of one per cent is less than what two processes of the same code differ by: these two share one.
const twinAddress = variant === 'chain' ? await startOurs() : undefined;
process.send?.({ address, twinAddress });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.on('disconnect', () => process.exit(0));
