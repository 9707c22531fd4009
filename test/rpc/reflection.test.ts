import assert from 'node:assert/strict';
import { create, createFileRegistry, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
} from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { serviceOf } from '../../server/rpc/handler.ts';
import { AnnotatedService, annotatedBytes, audienceOption } from './fixtures/annotated.ts';
import { EchoService } from './fixtures/echo.ts';
import { type EchoFixture, plainEcho, startEcho } from './fixtures/echo-server.ts';

type Request = MessageInitShape<typeof ServerReflectionRequestSchema>;
type Question = Request['messageRequest'];

const services = [serviceOf(EchoService, plainEcho), serviceOf(AnnotatedService, { read: () => Promise.resolve({}) })];

const start = () => startEcho({}, { services, reflection: true, health: true });

/** Asks all questions on one stream of either version. */
async function ask(echo: EchoFixture, version: 'v1' | 'v1alpha', ...questions: Question[]) {
  async function* requests() {
    for (const messageRequest of questions) yield { host: 'h', messageRequest } as Request;
  }
  const desc = version === 'v1' ? ServerReflection : (ServerReflectionAlpha as unknown as typeof ServerReflection);
  using client = createRpcClient(desc, { address: echo.server.address });
  return await Array.fromAsync(client.serverReflectionInfo(requests()));
}

type Answer = Awaited<ReturnType<typeof ask>>[number];

function filesOf(answer: Answer | undefined): FileDescriptorProto[] {
  assert.ok(answer?.messageResponse.case === 'fileDescriptorResponse', `got ${answer?.messageResponse.case}`);
  return answer.messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

function errorCodeOf(answer: Answer | undefined): number {
  assert.ok(answer?.messageResponse.case === 'errorResponse', `got ${answer?.messageResponse.case}`);
  return answer.messageResponse.value.errorCode;
}

describe('rpc reflection', () => {
  for (const version of ['v1', 'v1alpha'] as const) {
    it(`lists every service, health and reflection included, in ${version}`, async () => {
      await using echo = await start();
      const [answer] = await ask(echo, version, { case: 'listServices', value: '' });
      assert.ok(answer?.messageResponse.case === 'listServicesResponse');
      assert.deepEqual(
        answer.messageResponse.value.service.map(({ name }) => name),
        [
          'grpc.health.v1.Health',
          'grpc.reflection.v1.ServerReflection',
          'grpc.reflection.v1alpha.ServerReflection',
          'test.annotated.v1.AnnotatedService',
          'test.echo.v1.EchoService',
        ],
      );
      assert.equal(answer.validHost, 'h');
      assert.equal(answer.originalRequest?.messageRequest.case, 'listServices');
    });

    it(`gives a file with all its imports and its custom options in ${version}`, async () => {
      await using echo = await start();
      const [answer] = await ask(echo, version, {
        case: 'fileContainingSymbol',
        value: 'test.annotated.v1.AnnotatedService',
      });
      const files = filesOf(answer);
      assert.deepEqual(
        files.map(({ name }) => name),
        ['test/annotated/v1/annotated.proto', 'test/options/v1/options.proto', 'google/protobuf/descriptor.proto'],
      );
      const [file] = files;
      assert.ok(file);
      assert.deepEqual(toBinary(FileDescriptorProtoSchema, file), annotatedBytes, 'the file must come byte for byte');
      const options = file.service[0]?.method[0]?.options;
      assert.equal(options?.deprecated, true);
      const custom = options.$unknown?.find(({ no }) => no === audienceOption.number);
      assert.equal(new BinaryReader(custom?.data ?? new Uint8Array()).string(), audienceOption.value);
      // What a caller does with it: build descriptors from the answer alone.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...files].reverse() }));
      assert.ok(registry.getService('test.annotated.v1.AnnotatedService'));
    });
  }

  it('finds files by every kind of symbol', async () => {
    await using echo = await start();
    const annotated = ['AnnotatedService.Read', 'Note', 'Note.text', 'Note.body', 'Note.Inner', 'Note.Kind'];
    annotated.push('Note.KIND_UNSPECIFIED');
    const symbols = annotated.map((name) => `test.annotated.v1.${name}`);
    const answers = await Promise.all(
      symbols.map(async (value) => (await ask(echo, 'v1', { case: 'fileContainingSymbol', value }))[0]),
    );
    for (const answer of answers) assert.equal(filesOf(answer)[0]?.name, 'test/annotated/v1/annotated.proto');
    const [extension] = await ask(echo, 'v1', { case: 'fileContainingSymbol', value: 'test.options.v1.audience' });
    assert.equal(filesOf(extension)[0]?.name, 'test/options/v1/options.proto');
  });

  it('finds extensions by number and lists their numbers', async () => {
    await using echo = await start();
    const containingType = 'google.protobuf.MethodOptions';
    const extensionNumber = audienceOption.number;
    const [file, numbers, none] = await ask(
      echo,
      'v1',
      { case: 'fileContainingExtension', value: { containingType, extensionNumber } },
      { case: 'allExtensionNumbersOfType', value: containingType },
      { case: 'allExtensionNumbersOfType', value: 'test.echo.v1.EchoRequest' },
    );
    assert.equal(filesOf(file)[0]?.name, 'test/options/v1/options.proto');
    assert.ok(numbers?.messageResponse.case === 'allExtensionNumbersResponse');
    assert.ok(numbers.messageResponse.value.extensionNumber.includes(extensionNumber));
    assert.ok(none?.messageResponse.case === 'allExtensionNumbersResponse');
    assert.deepEqual(none.messageResponse.value.extensionNumber, []);
  });

  it('answers failures in-band and goes on with the stream', async () => {
    await using echo = await start();
    const answers = await ask(
      echo,
      'v1',
      { case: 'fileByFilename', value: 'no/such.proto' },
      { case: 'fileContainingSymbol', value: 'no.such.Symbol' },
      { case: 'fileContainingExtension', value: { containingType: 'no.such.Type', extensionNumber: 1 } },
      { case: 'allExtensionNumbersOfType', value: 'no.such.Type' },
      { case: undefined },
      { case: 'fileByFilename', value: 'test/echo/v1/echo.proto' },
    );
    const { NOT_FOUND, INVALID_ARGUMENT } = Code;
    assert.deepEqual(answers.slice(0, 5).map(errorCodeOf), [
      ...[NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, INVALID_ARGUMENT],
    ]);
    assert.equal(filesOf(answers[5])[0]?.options?.goPackage, 'example.test/echo');
  });

  it('sends an import only once per stream, and again when it is asked for by name', async () => {
    await using echo = await start();
    const question: Question = { case: 'fileContainingSymbol', value: 'test.annotated.v1.Note' };
    const name: Question = { case: 'fileByFilename', value: 'google/protobuf/descriptor.proto' };
    const [first, second, third] = await ask(echo, 'v1', question, question, name);
    assert.deepEqual(
      [first, second, third].map((answer) => filesOf(answer).length),
      [3, 1, 1],
    );
  });

  it('is off when the option says so', async () => {
    await using echo = await startEcho({}, { reflection: false });
    await assert.rejects(ask(echo, 'v1', { case: 'listServices', value: '' }), { reason: 'METHOD_UNKNOWN' });
  });
});
