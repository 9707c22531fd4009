import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { ErrorInfoSchema, RequestInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../proto/gen/google/rpc/status_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError, invalidFields } from '../../server/core/errors.ts';
import { appErrorFrom } from '../../server/rpc/client/client-call.ts';
import { fromStatus, toStatus } from '../../server/rpc/status.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createRecordingLogger, startEcho } from './fixtures/echo-server.ts';

const rich = () =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'QUOTA_USED',
    message: 'quota of "key:demo" is used: später',
    metadata: { key: 'key:demo' },
    fields: [{ field: 'job.title', description: 'too long' }],
    retryAfterMs: 1_500,
    cause: new Error('never sent'),
  });

describe('rpc errors', () => {
  it('carries code, reason, message, metadata, fields and retry delay to the client', async () => {
    let trailer: string | undefined;
    await using echo = await startEcho({ echo: () => Promise.reject(rich()) });
    const call = echo.client.echo({}, { onTrailer: (seen) => (trailer = seen.get('grpc-retry-pushback-ms')) });
    const error = await rejectsWith(call, Code.RESOURCE_EXHAUSTED, 'QUOTA_USED');
    assert.equal(error.message, 'quota of "key:demo" is used: später');
    assert.deepEqual({ ...error.metadata }, { key: 'key:demo' });
    assert.deepEqual(error.fields, [{ field: 'job.title', description: 'too long' }]);
    assert.equal(error.retryAfterMs, 1_500);
    assert.equal(trailer, '1500');
    assert.doesNotMatch(JSON.stringify(error.metadata), /never sent/);
  });

  it('names its domain and the call id in the details', async () => {
    let callId = '';
    let details = new Uint8Array();
    await using echo = await startEcho({
      echo: (_request, { call }) => {
        callId = call.id;
        return Promise.reject(rich());
      },
    });
    const onTrailer = (trailer: { getBinary(key: string): Uint8Array | undefined }) => {
      details = new Uint8Array(trailer.getBinary('grpc-status-details-bin') ?? []);
    };
    await assert.rejects(echo.client.echo({}, { onTrailer }));
    const status = fromBinary(StatusSchema, details);
    assert.equal(status.code, Code.RESOURCE_EXHAUSTED);
    const unpacked = status.details.flatMap((any) => [
      anyUnpack(any, ErrorInfoSchema)?.domain ?? anyUnpack(any, RequestInfoSchema)?.requestId ?? any.typeUrl,
    ]);
    assert.deepEqual(unpacked, [
      'showrunner.dev',
      'type.googleapis.com/google.rpc.BadRequest',
      'type.googleapis.com/google.rpc.RetryInfo',
      callId,
    ]);
  });

  it('hides an unknown error from the caller and logs it once with its stack', async () => {
    const log = createRecordingLogger();
    await using echo = await startEcho(
      {
        echo: () => Promise.reject(new TypeError('the secret of row 7')),
        async *repeat() {
          yield { text: 'first' };
          throw 'a thrown string';
        },
      },
      { log },
    );
    const error = await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'INTERNAL');
    assert.equal(error.message, 'internal error');
    const responses = echo.client.repeat({});
    assert.equal((await responses.next()).value?.text, 'first', 'what was sent before the failure still comes');
    await rejectsWith(responses.next(), Code.INTERNAL, 'INTERNAL');
    assert.equal(log.errors.length, 2);
    const logged = log.errors[0]?.fields as { call_id: string; method: string; error: Error };
    assert.equal(logged.method, '/test.echo.v1.EchoService/Echo');
    assert.match(logged.error.stack ?? '', /the secret of row 7[\s\S]*status\.test/);
  });

  it('hides a handler that throws before it gives its promise or stream', async () => {
    const log = createRecordingLogger();
    const fault = () => {
      throw new Error('synchronous');
    };
    await using echo = await startEcho({ echo: fault, repeat: fault, join: fault, chat: fault }, { log });
    async function* none() {}
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'INTERNAL');
    await rejectsWith(echo.client.repeat({}).next(), Code.INTERNAL, 'INTERNAL');
    await rejectsWith(echo.client.join(none()), Code.INTERNAL, 'INTERNAL');
    await rejectsWith(echo.client.chat(none()).next(), Code.INTERNAL, 'INTERNAL');
    assert.equal(log.errors.length, 4);
  });

  it('logs an AppError only when its code says that the server is at fault', async () => {
    const log = createRecordingLogger();
    let code: Code = Code.NOT_FOUND;
    await using echo = await startEcho(
      { echo: () => Promise.reject(new AppError({ code, reason: 'R', message: 'm' })) },
      { log },
    );
    await rejectsWith(echo.client.echo({}), Code.NOT_FOUND, 'R');
    assert.equal(log.errors.length, 0);
    code = Code.DATA_LOSS;
    await rejectsWith(echo.client.echo({}), Code.DATA_LOSS, 'R');
    assert.equal(log.errors.length, 1);
  });

  it('sends headers and trailers that were set before a failure', async () => {
    await using echo = await startEcho({
      async echo(_request, { call }) {
        call.responseHeaders.set('x-head', 'h');
        call.responseTrailers.set('x-tail', 't');
        throw rich();
      },
    });
    const seen: unknown[] = [];
    const options = {
      onHeader: (header: { get(key: string): string | undefined }) => seen.push(header.get('x-head')),
      onTrailer: (trailer: { get(key: string): string | undefined }) => seen.push(trailer.get('x-tail')),
    };
    await rejectsWith(echo.client.echo({}, options), Code.RESOURCE_EXHAUSTED, 'QUOTA_USED');
    assert.deepEqual(seen, ['h', 't']);
  });

  it('answers metadata that a handler cannot send with METADATA_INVALID', async () => {
    const log = createRecordingLogger();
    await using echo = await startEcho(
      {
        async echo(_request, { call }) {
          call.responseTrailers.set('x-name', 'zwölf');
          return {};
        },
      },
      { log },
    );
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'METADATA_INVALID');
  });

  it('answers a response that cannot be encoded with INTERNAL', async () => {
    const log = createRecordingLogger();
    await using echo = await startEcho({ echo: async () => ({ index: 1.5 }) }, { log });
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'INTERNAL');
    assert.equal(log.errors.length, 1);
  });

  it('keeps long and broken texts sendable', async () => {
    const fields = Array.from({ length: 500 }, (_, i) => ({ field: `items[${i}]`, description: 'x'.repeat(50) }));
    const messages = ['broken \ud800 surrogate', 'x'.repeat(100_000)];
    await using echo = await startEcho({
      echo: async ({ count }) => {
        if (count === 2) throw invalidFields(fields);
        const metadata = { huge: 'y'.repeat(100_000) };
        throw new AppError({ code: Code.ABORTED, reason: 'R', message: messages[count] ?? '', metadata });
      },
    });
    assert.equal(
      (await rejectsWith(echo.client.echo({ count: 0 }), Code.ABORTED, 'R')).message,
      'broken \ufffd surrogate',
    );
    assert.equal((await rejectsWith(echo.client.echo({ count: 1 }), Code.ABORTED, 'R')).message.length, 1_024);
    const shortened = await rejectsWith(echo.client.echo({ count: 2 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.ok(shortened.fields.length > 10 && shortened.fields.length < 500);
    assert.deepEqual(shortened.fields[0], fields[0]);
  });

  it('reads a status without details, with foreign details, and with an unknown code', () => {
    assert.equal(fromStatus({ code: 5, details: 'gone' }).reason, 'NOT_FOUND');
    const status = toStatus(rich(), undefined, undefined);
    status.metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]));
    assert.equal(fromStatus({ code: 9, details: 'x', metadata: status.metadata }).reason, 'FAILED_PRECONDITION');
    assert.equal(fromStatus({ code: 99, details: 'x' }).code, Code.UNKNOWN);
    assert.equal(fromStatus({ code: 0, details: 'x' }).code, Code.UNKNOWN);
  });

  it('makes an AppError of whatever a client catches', () => {
    const error = rich();
    assert.equal(appErrorFrom(error), error);
    assert.equal(appErrorFrom(new Error('odd')).reason, 'INTERNAL');
    const service = Object.assign(new Error('14 UNAVAILABLE: refused'), { code: 14, details: 'refused' });
    assert.equal(appErrorFrom(service).code, Code.UNAVAILABLE);
    assert.equal(appErrorFrom(service).message, 'refused');
  });
});
