import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFilterFolders } from './bed/filter-folders.ts';

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

describe('filters that need the whole request, over a real connection', () => {
  it('see it in all four kinds of call, and the endpoint gets it afterwards', async () => {
    await using folders = await createFilterFolders();
    const seen: string[] = [];
    Object.assign(globalThis, { seenBodies: seen });
    await folders.filter(
      'body',
      `onRequestMessage: (m) => ({ ...m, text: m.text + '!' }),
       onRequestBody: async (all, call) => {
         const texts = all.map(({ text }) => text);
         globalThis.seenBodies.push(call.method + ' ' + texts.join());
         if (texts.includes('bad!')) throw new AppError({ code: Code.INVALID_ARGUMENT, reason: 'BAD_BODY', message: 'bad' });
         if (texts.includes('mine!')) return { messages: [{ text: 'answered' }] };
       },
       maxBodyBytes: 1000,`,
      "import { AppError, Code } from 'showrunner/filter';",
    );
    const engine = await folders.engine();
    await using echo = await startEcho({}, { pipeline: engine });
    const { client } = echo;
    assert.equal((await client.echo({ text: 'a' })).text, 'a!');
    assert.equal((await client.join(texts('a', 'b'))).text, 'a!,b!');
    assert.equal((await Array.fromAsync(client.repeat({ text: 'r', count: 2 }))).length, 2);
    assert.deepEqual(
      (await Array.fromAsync(client.chat(texts('x', 'y')))).map(({ text }) => text),
      ['x!', 'y!'],
    );
    assert.equal((await client.echo({ text: 'mine' })).text, 'answered');
    await rejectsWith(client.join(texts('a', 'bad')), Code.INVALID_ARGUMENT, 'BAD_BODY');
    await rejectsWith(client.join(texts('x'.repeat(600), 'x'.repeat(600))), Code.RESOURCE_EXHAUSTED, 'BODY_TOO_LARGE');
    assert.deepEqual(seen, ['Echo a!', 'Join a!,b!', 'Repeat r!', 'Chat x!,y!', 'Echo mine!', 'Join a!,bad!']);
    const last = engine.snapshot().filters[0];
    assert.deepEqual([last?.needs, last?.inFlight], ['body', 0]);
  });
});
