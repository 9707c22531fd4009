import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { startFleet, startRouted, texts } from './bed/routed.ts';

describe('a filter of one’s own', () => {
  const proxy = (address: string) => `
    type: 'endpoint',
    run: (call, { origins }) => ({
      encoding: 'bytes',
      respond: (requests) =>
        origins.call('${address}', call.path, requests, { deadline: call.deadline, signal: call.signal }),
    }),`;

  it('may answer from another server with the connections that it is lent', async () => {
    await using fleet = await startFleet(1);
    await using bed = await startRouted({ filters: {}, own: { proxy: proxy(fleet.addresses[0] ?? '') } });
    assert.equal((await bed.client.echo({})).text, 'o0');
    assert.equal((await bed.client.join(texts('a', 'b'))).text, 'a,b');
  });

  it('is told so when the engine lends none', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('proxy', proxy('127.0.0.1:1'));
    await using echo = await startEcho({}, { pipeline: await folders.engine() });
    await rejectsWith(echo.client.echo({}), Code.FAILED_PRECONDITION, 'ORIGINS_MISSING');
  });

  it('is at fault when its answer is of no known encoding', async () => {
    await using bed = await startRouted({
      filters: {},
      own: { bad: "type: 'endpoint', run: () => ({ encoding: 'text', respond: async function* () {} })," },
      local: {},
    });
    await rejectsWith(bed.client.echo({}), Code.INTERNAL, 'FILTER_FAILED');
  });
});
