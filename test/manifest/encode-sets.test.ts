import assert from 'node:assert/strict';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { FileKind } from '../../proto/gen/showrunner/manifest/v1/manifest_pb.ts';
import { Code } from '../../server/core/codes.ts';
import type { EncodeSetRecord } from '../../server/manifest/encode-set-record.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { changeRecord, putEncodeSet, startManifestService } from './open-manifest.ts';

const title = 'titles/bunny';

async function startWithTitle(options = {}) {
  const app = await startManifestService(options);
  await app.client.createTitle({ title: { name: title, displayName: 'Bunny' } });
  const register = async (version: string) =>
    app.client.registerEncodeSet({
      title,
      objectKey: await putEncodeSet(app.stores.objects, 'bunny', version),
      job: 'jobs/1',
    });
  return { ...app, register };
}

const idsOf = (files: readonly { readonly name: string }[]) => files.map(({ name }) => name.split('/').at(-1));

describe('encode sets', () => {
  it('become current when they are registered, and the title takes their running time', async () => {
    await using app = await startWithTitle();
    const { encodeSet, existed } = await app.register('v0a');
    assert.equal(existed, false);
    assert.equal(encodeSet?.name, `${title}/encodeSets/v0a`);
    assert.deepEqual(
      [encodeSet.frameCount, encodeSet.frameRate, encodeSet.fileCount, encodeSet.job],
      [120n, '24/1', 7, 'jobs/1'],
    );
    const read = (await app.client.getTitle({ name: title })).title;
    assert.equal(read?.currentEncodeSet, encodeSet.name);
    assert.ok(read.duration && durationMs(read.duration) === 5_000);
  });

  it('give their running time whatever their frame rate is, to the nanosecond', async () => {
    await using app = await startManifestService();
    const durations = { ntsc: (132 * 1001) / 30_000, film: 100 / 24, long: 7_199.999_999_999_7, none: 0 };
    for (const [id, durationSeconds] of Object.entries(durations)) {
      await app.client.createTitle({ title: { name: `titles/${id}` } });
      const objectKey = await putEncodeSet(app.stores.objects, id, 'v1', (record) => ({ ...record, durationSeconds }));
      const { encodeSet } = await app.client.registerEncodeSet({ title: `titles/${id}`, objectKey });
      const { title: read } = await app.client.getTitle({ name: `titles/${id}` });
      for (const duration of [encodeSet?.duration, read?.duration]) {
        const seconds = Number(duration?.seconds) + Number(duration?.nanos) / 1e9;
        assert.ok(Math.abs(seconds - durationSeconds) < 1e-8, `${id}: ${seconds}`);
      }
    }
    assert.equal((await app.client.listTitles({})).titles.length, 4);
  });

  it('are listed newest first; the newest plays and the older stay', async () => {
    await using app = await startWithTitle();
    for (const version of ['v1', 'v2', 'v3', 'v4', 'v5']) {
      await app.register(version);
      await app.clock.advance(10);
    }
    const names: (string | undefined)[] = [];
    let pageToken = '';
    do {
      const page = await app.client.listEncodeSets({ title, pageSize: 2, pageToken });
      names.push(...idsOf(page.encodeSets));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.deepEqual(names, ['v5', 'v4', 'v3', 'v2', 'v1']);
    const older = await app.client.listFiles({ filter: { parent: `${title}/encodeSets/v1` } });
    assert.equal(older.files.length, 7);
  });

  it('stay as they are when they are registered again, and a late repeat does not bring an old one back', async () => {
    await using app = await startWithTitle();
    const first = await app.register('v1');
    await app.register('v2');
    const again = await app.client.registerEncodeSet({
      title,
      objectKey: 'titles/bunny/v1/encode-set.json',
      job: 'jobs/9',
    });
    assert.equal(again.existed, true);
    assert.deepEqual(again.encodeSet, first.encodeSet);
    assert.equal((await app.client.getTitle({ name: title })).title?.currentEncodeSet, `${title}/encodeSets/v2`);
  });

  it('are registered once when registrations race with each other and with updates', async () => {
    await using app = await startWithTitle();
    const objectKey = await putEncodeSet(app.stores.objects, 'bunny', 'v1');
    const registering = Array.from({ length: 6 }, () => app.client.registerEncodeSet({ title, objectKey }));
    const updating = Array.from({ length: 6 }, (_, n) =>
      app.client.updateTitle({ title: { name: title, displayName: `Bunny ${n}` } }),
    );
    const registered = await Promise.all(registering);
    await Promise.all(updating);
    assert.equal(registered.filter(({ existed }) => !existed).length, 1);
    const read = (await app.client.getTitle({ name: title })).title;
    assert.equal(read?.currentEncodeSet, `${title}/encodeSets/v1`);
    assert.match(read.displayName, /^Bunny \d$/);
  });

  it('tell who wants to know, and are not answered before', async () => {
    const heard: string[] = [];
    let isFailing = true;
    await using app = await startWithTitle({
      onRegistered: async ({ version }: { version: string }) => {
        heard.push(version);
        if (isFailing) throw new Error('no bus');
      },
    });
    await rejectsWith(app.register('v1'), Code.INTERNAL, 'INTERNAL');
    isFailing = false;
    assert.equal((await app.register('v1')).existed, true);
    assert.deepEqual(heard, ['v1', 'v1']);
  });

  it('are refused when the commit record or an object is missing or differs', async () => {
    await using app = await startWithTitle();
    const { objects } = app.stores;
    const refused = async (objectKey: string, why: RegExp) => {
      const call = app.client.registerEncodeSet({ title, objectKey });
      const error = await rejectsWith(call, Code.FAILED_PRECONDITION, 'ENCODESET_INCOMPLETE');
      assert.match(error.message, why);
    };
    await refused('titles/bunny/v0/encode-set.json', /commit record is missing/);
    await putEncodeSet(objects, 'bunny', 'v1');
    await objects.delete('titles/bunny/v1/video/720p/1.m4s');
    await refused('titles/bunny/v1/encode-set.json', /v1\/video\/720p\/1\.m4s" is missing/);
    await putEncodeSet(objects, 'bunny', 'v2');
    await objects.put('titles/bunny/v2/master.m3u8', Buffer.from('shorter'));
    await refused('titles/bunny/v2/encode-set.json', /has 7 bytes, not 9/);
    await putEncodeSet(objects, 'bunny', 'v3');
    await objects.put('titles/bunny/v3/master.m3u8', Buffer.from('hls 0f v3'));
    await refused('titles/bunny/v3/encode-set.json', /another hash/);
    const changes: [(record: EncodeSetRecord) => object, RegExp][] = [
      [
        (record) => ({ ...record, objects: [...record.objects, { ...record.objects[0], key: 'titles/other/v1/x' }] }),
        /lies outside/,
      ],
      [
        (record) => ({ ...record, hlsObjectKey: 'titles/bunny/v4/none.m3u8' }),
        /manifest "titles\/bunny\/v4\/none\.m3u8"/,
      ],
      [(record) => ({ ...record, files: [...record.files, record.files[0]] }), /"video-360p" is listed twice/],
      [
        (record) => ({ ...record, files: record.files.map((file) => ({ ...file, segmentCount: 9 })) }),
        /3 objects for 9 segments/,
      ],
      [
        (record) => ({
          ...record,
          files: record.files.map((file) => ({ ...file, objectKey: 'titles/bunny/v4/none' })),
        }),
        /has no object/,
      ],
    ];
    const key = await putEncodeSet(objects, 'bunny', 'v4');
    for (const [change, why] of changes) {
      const undo = await changeRecord(objects, key, change);
      await refused(key, why);
      await undo();
    }
    assert.equal((await app.client.getTitle({ name: title })).title?.currentEncodeSet, '');
    assert.deepEqual((await app.client.listEncodeSets({ title })).encodeSets, []);
  });

  it('are refused when the commit record is none, or of another title or version', async () => {
    await using app = await startWithTitle();
    const faults: [(record: EncodeSetRecord) => unknown, RegExp][] = [
      [() => '{ not json', /not JSON/],
      [() => '[]', /record must be an object/],
      [(record) => ({ ...record, format: 2 }), /format must be 1/],
      [(record) => ({ ...record, version: undefined }), /version must be a text/],
      [(record) => ({ ...record, version: 'v9' }), /version v9/],
      [(record) => ({ ...record, title: 'titles/other' }), /titles\/other/],
      [(record) => ({ ...record, frameCount: 1.5 }), /frameCount must be a whole number/],
      [(record) => ({ ...record, frameRate: '25' }), /frameRate must match/],
      [(record) => ({ ...record, durationSeconds: -1 }), /durationSeconds/],
      [(record) => ({ ...record, files: [] }), /files must be a list/],
      [(record) => ({ ...record, files: [{ ...record.files[0], kind: 'smell' }] }), /files\[0\]\.kind/],
      [(record) => ({ ...record, files: [{ ...record.files[0], id: '../x' }] }), /files\[0\]\.id/],
      [(record) => ({ ...record, objects: [{ key: 'x', bytes: 1, sha256: 'no' }] }), /objects\[0\]\.sha256/],
    ];
    const objectKey = await putEncodeSet(app.stores.objects, 'bunny', 'v1');
    for (const [change, why] of faults) {
      const undo = await changeRecord(app.stores.objects, objectKey, change);
      const call = app.client.registerEncodeSet({ title, objectKey });
      assert.match((await rejectsWith(call, Code.FAILED_PRECONDITION, 'ENCODESET_MALFORMED')).message, why);
      await undo();
    }
  });

  it('are refused for an unknown title and for a key outside of the title', async () => {
    await using app = await startWithTitle();
    const objectKey = await putEncodeSet(app.stores.objects, 'other', 'v1');
    await rejectsWith(
      app.client.registerEncodeSet({ title: 'titles/other', objectKey }),
      Code.NOT_FOUND,
      'TITLE_NOT_FOUND',
    );
    for (const key of [objectKey, '', 'titles/bunny/../other/v1/encode-set.json', 'titles/bunny/v1/else.json']) {
      const error = await rejectsWith(
        app.client.registerEncodeSet({ title, objectKey: key }),
        Code.INVALID_ARGUMENT,
        'INVALID_FIELDS',
      );
      assert.equal(error.fields[0]?.field, 'object_key');
    }
    await rejectsWith(app.client.listEncodeSets({ title: 'titles/other' }), Code.NOT_FOUND, 'TITLE_NOT_FOUND');
  });
});

describe('files of an encode set', () => {
  it('are found by kind, profile, language and bitrate', async () => {
    await using app = await startWithTitle();
    await app.register('v1');
    const find = async (filter: object) =>
      idsOf((await app.client.listFiles({ filter: { parent: title, ...filter } })).files);
    assert.deepEqual(await find({}), [
      'audio-en',
      'audio-pt-BR',
      'dash',
      'hls',
      'video-1080p',
      'video-360p',
      'video-720p',
    ]);
    assert.deepEqual(await find({ kinds: [FileKind.VIDEO] }), ['video-1080p', 'video-360p', 'video-720p']);
    assert.deepEqual(await find({ kinds: [FileKind.AUDIO, FileKind.MANIFEST] }), [
      'audio-en',
      'audio-pt-BR',
      'dash',
      'hls',
    ]);
    assert.deepEqual(await find({ profiles: ['h264-main-720p', 'hls'] }), ['hls', 'video-720p']);
    assert.deepEqual(await find({ languages: ['pt-br'] }), ['audio-pt-BR']);
    assert.deepEqual(await find({ minBitrateBps: 800_000n, maxBitrateBps: 2_500_000n }), ['video-360p', 'video-720p']);
    assert.deepEqual(await find({ kinds: [FileKind.VIDEO], languages: ['en'] }), []);
    const [video] = (await app.client.listFiles({ filter: { parent: title, profiles: ['h264-main-720p'] } })).files;
    assert.equal(video?.name, `${title}/encodeSets/v1/files/video-720p`);
    assert.deepEqual(
      [video.kind, video.width, video.height, video.bitrateBps, video.segmentCount],
      [FileKind.VIDEO, 1280, 720, 2_500_000n, 2],
    );
    assert.equal(video.objectKey, 'titles/bunny/v1/video/720p/');
  });

  it('come in pages of one set, even when another becomes current in between', async () => {
    await using app = await startWithTitle();
    await app.register('v1');
    const filter = { parent: title };
    const first = await app.client.listFiles({ filter, pageSize: 5 });
    await app.register('v2');
    const second = await app.client.listFiles({ filter, pageSize: 5, pageToken: first.nextPageToken });
    assert.deepEqual(idsOf([...first.files, ...second.files]).length, 7);
    assert.ok([...first.files, ...second.files].every(({ name }) => name.includes('/encodeSets/v1/')));
    assert.equal(second.nextPageToken, '');
    const elsewhere = app.client.listFiles({
      filter: { ...filter, languages: ['en'] },
      pageToken: first.nextPageToken,
    });
    assert.equal(
      (await rejectsWith(elsewhere, Code.INVALID_ARGUMENT, 'INVALID_FIELDS')).fields[0]?.field,
      'page_token',
    );
  });

  it('are streamed without pages, 1,500 of them', async () => {
    await using app = await startWithTitle();
    const objectKey = await putEncodeSet(app.stores.objects, 'bunny', 'v1', (record) => ({
      ...record,
      files: Array.from({ length: 1_500 }, (_, n) => ({
        ...record.files[0],
        id: `video-${String(n).padStart(4, '0')}`,
      })),
    }));
    assert.equal((await app.client.registerEncodeSet({ title, objectKey })).encodeSet?.fileCount, 1_500);
    const ids: string[] = [];
    for await (const { file } of app.client.streamFiles({ filter: { parent: title } })) ids.push(file?.name ?? '');
    assert.equal(new Set(ids).size, 1_500);
    assert.deepEqual(ids, [...ids].sort());
    const page = await app.client.listFiles({ filter: { parent: title }, pageSize: 5_000 });
    assert.equal(page.files.length, 1_000, 'a page is capped');
  });

  it('are refused without a set or a filter, and with a bad one', async () => {
    await using app = await startWithTitle();
    await rejectsWith(app.client.listFiles({ filter: { parent: title } }), Code.NOT_FOUND, 'ENCODESET_NOT_FOUND');
    const unknown = app.client.streamFiles({ filter: { parent: `${title}/encodeSets/v9` } }).next();
    await rejectsWith(unknown, Code.NOT_FOUND, 'ENCODESET_NOT_FOUND');
    const faults: [object | undefined, string][] = [
      [undefined, 'filter'],
      [{ parent: 'bunny' }, 'filter.parent'],
      [{ parent: title, kinds: [FileKind.UNSPECIFIED] }, 'filter.kinds[0]'],
      [{ parent: title, minBitrateBps: -1n }, 'filter.min_bitrate_bps'],
      [{ parent: title, maxBitrateBps: -1n }, 'filter.max_bitrate_bps'],
    ];
    for (const [filter, field] of faults) {
      const call = app.client.listFiles(filter === undefined ? {} : { filter });
      const error = await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });
});
