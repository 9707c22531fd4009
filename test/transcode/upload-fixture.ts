import { createHash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  TranscodeService,
  type UploadSourceRequestSchema,
} from '../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import type { RpcServer } from '../../server/rpc/server.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createTranscodeService } from '../../server/transcode/service.ts';
import { createUploads, type UploadsOptions } from '../../server/transcode/uploads.ts';
import { startServices } from '../support/start-services.ts';
import { createTempDir } from '../support/temp-dir.ts';

/** A message of an upload stream. */
export type Request = MessageInitShape<typeof UploadSourceRequestSchema>;

const unused = () => Promise.reject(new Error('uploads make no jobs'));
const noJobs = {
  create: unused,
  get: unused,
  cancel: unused,
  parts: () => Promise.resolve([]),
  watch: () => unused() as never,
};

/** Bytes that no two positions share, as good as a video here. */
export function content(size: number, seed = 1): Buffer {
  return Buffer.from(Uint32Array.from({ length: size / 4 }, (_, index) => index * 2_654_435_761 + seed).buffer);
}

/** SHA-256 in lower-case hex. */
export const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** First message of a stream; `more` says what it says wrong. */
export const header = (bytes: Uint8Array, more: { offset?: number; sha256?: string; size?: number } = {}): Request => ({
  part: {
    case: 'header',
    value: {
      sha256: more.sha256 ?? digestOf(bytes),
      sizeBytes: BigInt(more.size ?? bytes.length),
      offsetBytes: BigInt(more.offset ?? 0),
    },
  },
});

/** Messages of 50,000 bytes. */
export function* dataOf(bytes: Uint8Array, start = 0, end = bytes.length): Generator<Request> {
  for (let at = start; at < end; at += 50_000) {
    yield { part: { case: 'data', value: bytes.subarray(at, Math.min(end, at + 50_000)) } };
  }
}

export async function* stream(...messages: readonly Request[]): AsyncGenerator<Request> {
  yield* messages;
}

export interface UploadServers {
  readonly objects: ObjectStore;
  /** One more server over the same store, with parts of 100,000 bytes. */
  serve(options?: Partial<UploadsOptions>): Promise<RpcClient<typeof TranscodeService>>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An object store and the servers that take uploads into it. */
export async function createUploadServers(): Promise<UploadServers> {
  const temp = await createTempDir();
  const objects = await openFolderObjects({ dir: temp.path, clock: systemClock, log: silentLogger });
  const servers: RpcServer[] = [];
  const clients: RpcClient<typeof TranscodeService>[] = [];
  return {
    objects,
    serve: async (options = {}) => {
      const uploads = createUploads({
        objects,
        clock: systemClock,
        maxBytes: 4_000_000,
        partBytes: 100_000,
        ...options,
      });
      const server = await startServices(
        createTranscodeService({ uploads, objects, jobs: noJobs, clock: systemClock }),
      );
      servers.push(server);
      const client = createRpcClient(TranscodeService, { address: server.address });
      clients.push(client);
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.close();
      for (const server of servers) await server.close();
      await objects.close();
      await temp[Symbol.asyncDispose]();
    },
  };
}

/** Bytes that a server says it has. */
export async function received(client: RpcClient<typeof TranscodeService>, bytes: Uint8Array): Promise<number> {
  return Number((await client.getUpload({ name: `uploads/${digestOf(bytes)}` })).upload?.receivedBytes);
}
