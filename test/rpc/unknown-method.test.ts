import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { EchoRequestSchema, EchoResponseSchema, EchoService } from './fixtures/echo.ts';
import { createRecordingLogger, startEcho } from './fixtures/echo-server.ts';
import { frameOf, openRawCall } from './fixtures/raw-call.ts';
import { createRecordingPipeline } from './fixtures/recording-pipeline.ts';

const unknown = '/test.echo.v1.EchoService/Shout';
const noServices = { services: [] };

describe('rpc unknown method', () => {
  it('ends UNIMPLEMENTED with METHOD_UNKNOWN for every kind, after the pipeline has seen the call', async () => {
    const pipeline = createRecordingPipeline();
    await using echo = await startEcho({}, { ...noServices, pipeline });
    const { client } = echo;
    const error = await rejectsWith(client.echo({ text: 'x' }), Code.UNIMPLEMENTED, 'METHOD_UNKNOWN');
    assert.equal(error.metadata['path'], '/test.echo.v1.EchoService/Echo');
    await rejectsWith(client.repeat({}).next(), Code.UNIMPLEMENTED, 'METHOD_UNKNOWN');
    async function* requests() {
      yield { text: 'x' };
    }
    await rejectsWith(client.join(requests()), Code.UNIMPLEMENTED, 'METHOD_UNKNOWN');
    await rejectsWith(client.chat(requests()).next(), Code.UNIMPLEMENTED, 'METHOD_UNKNOWN');
    assert.deepEqual(pipeline.events.slice(0, 4), [
      'open unknown /test.echo.v1.EchoService/Echo',
      'inbound',
      'error METHOD_UNKNOWN',
      'end UNIMPLEMENTED 0/0',
    ]);
    assert.equal(pipeline.outcomes.length, 4);
  });

  it('reads service and method from the path', async () => {
    const seen: unknown[] = [];
    const pipeline = {
      open: ({ service, method, known, kind }: { service: string; method: string; known: boolean; kind: string }) =>
        void seen.push([service, method, known, kind]),
    };
    await using echo = await startEcho({}, { pipeline: { open: (call) => pipeline.open(call) ?? undefined } });
    for (const path of [unknown, '/odd', '/a/b/c', '/']) {
      await using raw = openRawCall(echo.server.address, path);
      raw.stream.resume();
      raw.stream.end();
      assert.equal((await raw.status)['grpc-status'], '12', path);
    }
    assert.deepEqual(seen, [
      ['test.echo.v1.EchoService', 'Shout', false, 'bidi_stream'],
      ['', '', false, 'bidi_stream'],
      ['a/b', 'c', false, 'bidi_stream'],
      ['', '', false, 'bidi_stream'],
    ]);
  });

  it('sends an encoded static answer of a filter', async () => {
    const bytes = toBinary(EchoResponseSchema, create(EchoResponseSchema, { text: 'from a filter' }));
    const pipeline = createRecordingPipeline({ inbound: () => ({ messages: [bytes] }) });
    await using echo = await startEcho({}, { ...noServices, pipeline });
    assert.equal((await echo.client.echo({})).text, 'from a filter');
  });

  it('refuses a static answer that is not encoded', async () => {
    const log = createRecordingLogger();
    const pipeline = createRecordingPipeline({ inbound: () => ({ messages: [create(EchoResponseSchema)] }) });
    await using echo = await startEcho({}, { ...noServices, pipeline, log });
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'STATIC_ANSWER_INVALID');
  });

  it('answers a foreign content type itself, without a call', async () => {
    await using echo = await startEcho();
    await using raw = openRawCall(echo.server.address, unknown, { 'content-type': 'text/plain' });
    const head = await new Promise<Record<string, unknown>>((resolve) => raw.stream.on('response', resolve));
    assert.equal(head[':status'], 415);
    assert.equal(echo.server.stats().callsStarted, 0);
  });

  it('keeps serving known methods beside unknown ones on one connection', async () => {
    await using echo = await startEcho();
    await using raw = openRawCall(echo.server.address, unknown);
    raw.stream.resume();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    await raw.status;
    const client = createRpcClient(EchoService, { address: echo.server.address });
    assert.equal((await client.echo({ text: 'known' })).text, 'known');
    client.close();
  });
});
