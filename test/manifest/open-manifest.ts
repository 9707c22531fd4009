import { createHash } from 'node:crypto';
import { ManifestService } from '../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { createManifest, type ManifestOptions } from '../../server/manifest/create-manifest.ts';
import type { EncodeSetFile, EncodeSetRecord } from '../../server/manifest/encode-set-record.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { startServices } from '../support/start-services.ts';

/** The manifest area behind a gRPC server, on embedded stores with a clock that is moved by hand. */
export async function startManifestService(options: Partial<ManifestOptions> = {}) {
  const clock = createFakeClock();
  const stores = await createEmbeddedStores(clock);
  const manifest = createManifest({ records: stores.records, objects: stores.objects, clock, ...options });
  const server = await startServices(manifest.service);
  const client = createRpcClient(ManifestService, { address: server.address });
  return {
    manifest,
    stores,
    clock,
    client,
    [Symbol.asyncDispose]: async () => {
      client.close();
      await server.close();
      await manifest.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}

const sha256 = (body: Uint8Array) => createHash('sha256').update(body).digest('hex');

/** A small published title version as the transcode job leaves it: three rungs, two languages, both manifests. */
export async function putEncodeSet(
  objects: ObjectStore,
  title: string,
  version: string,
  change: (record: EncodeSetRecord) => object = (record) => record,
): Promise<string> {
  const folder = `titles/${title}/${version}`;
  const stored: { key: string; bytes: number; sha256: string }[] = [];
  const put = async (path: string, text: string) => {
    const body = Buffer.from(text);
    await objects.put(`${folder}/${path}`, body);
    const object = { key: `${folder}/${path}`, bytes: body.length, sha256: sha256(body) };
    stored.push(object);
    return object;
  };
  const track = async (
    path: string,
    file: Omit<EncodeSetFile, 'totalBytes' | 'sha256' | 'objectKey' | 'segmentCount'>,
  ) => {
    for (const name of ['init.mp4', '0.m4s', '1.m4s']) await put(`${path}/${name}`, `${path} ${name} of ${version}`);
    return {
      ...file,
      totalBytes: 100,
      sha256: sha256(Buffer.from(path)),
      objectKey: `${folder}/${path}/`,
      segmentCount: 2,
    };
  };
  const none = { language: '', width: 0, height: 0, bitrateBps: 0 };
  const files: EncodeSetFile[] = [];
  for (const [height, bitrateBps] of [
    [360, 800_000],
    [720, 2_500_000],
    [1080, 5_000_000],
  ] as const) {
    const profile = `h264-main-${height}p`;
    const width = Math.round((height * 16) / 9);
    files.push(
      await track(`video/${height}p`, {
        ...none,
        id: `video-${height}p`,
        kind: 'video',
        profile,
        codec: 'avc1.4d401f',
        bitrateBps,
        width,
        height,
      }),
    );
  }
  for (const language of ['en', 'pt-BR']) {
    files.push(
      await track(`audio/${language}`, {
        ...none,
        id: `audio-${language}`,
        kind: 'audio',
        profile: 'aac-stereo',
        codec: 'mp4a.40.2',
        bitrateBps: 128_000,
        language,
      }),
    );
  }
  for (const [id, path] of [
    ['hls', 'master.m3u8'],
    ['dash', 'manifest.mpd'],
  ] as const) {
    const { key, bytes, sha256: hash } = await put(path, `${id} of ${version}`);
    files.push({
      ...none,
      id,
      kind: 'manifest',
      profile: id,
      codec: '',
      totalBytes: bytes,
      sha256: hash,
      objectKey: key,
      segmentCount: 0,
    });
  }
  const record: EncodeSetRecord = {
    title: `titles/${title}`,
    version,
    frameCount: 120,
    frameRate: '24/1',
    durationSeconds: 5,
    hlsObjectKey: `${folder}/master.m3u8`,
    dashObjectKey: `${folder}/manifest.mpd`,
    files,
    objects: stored,
  };
  const key = `${folder}/encode-set.json`;
  await objects.put(key, Buffer.from(JSON.stringify({ format: 1, ...change(record) })));
  return key;
}

/** Replaces a commit record by a changed one; a text is stored as it is. Gives what puts the original back. */
export async function changeRecord(
  objects: ObjectStore,
  key: string,
  change: (record: EncodeSetRecord) => unknown,
): Promise<() => Promise<unknown>> {
  const original = await objects.read(key);
  const changed = change(JSON.parse(Buffer.from(original).toString()));
  await objects.put(key, Buffer.from(typeof changed === 'string' ? changed : JSON.stringify(changed)));
  return () => objects.put(key, original);
}
