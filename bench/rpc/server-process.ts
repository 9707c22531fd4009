/** One server under measurement, in a process of its own: tells its address, then its CPU time whenever asked. */
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { startBareServer } from './bare-server.ts';
import { type ServerVariant, stream, streamAnswer, streamLength, unary, unaryAnswer } from './service.ts';

async function startOurs(withEmptyChain: boolean): Promise<string> {
  const pipeline = { open: () => undefined };
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
    ...(withEmptyChain ? { pipeline } : {}),
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
const address = variant === 'bare' ? await startBareServer() : await startOurs(variant === 'chain');
process.send?.({ address });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.on('disconnect', () => process.exit(0));
