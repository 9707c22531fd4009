/** Run with the telemetry preload: serves one call through a filter and prints the span that it made, as JSON. */
import { onFinishedSpan } from '../../../server/core/telemetry/span-feed.ts';
import { startEcho } from '../../rpc/fixtures/echo-server.ts';
import { createFilterFolders } from './filter-folders.ts';

await using folders = await createFilterFolders();
await folders.filter('a', 'run: () => {},');
await folders.filter('b', "failurePolicy: 'open', order: 1, run: async () => { throw new Error('x'); },");
const engine = await folders.engine();
await using echo = await startEcho(
  {
    echo: async (request) => {
      if (request.text === 'fail') throw new Error('handler fault');
      return {};
    },
  },
  { pipeline: engine },
);
for (const text of ['ok', 'fail']) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = onFinishedSpan((span) => {
    if (span.kind !== 'server') return;
    process.stdout.write(`${JSON.stringify(span.events)}\n`);
    resolve();
  });
  await echo.client.echo({ text }).catch(() => {});
  await promise;
  stop();
}
