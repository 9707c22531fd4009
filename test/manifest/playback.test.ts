import assert from 'node:assert/strict';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ApplianceState } from '../../proto/gen/showrunner/manifest/v1/manifest_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { putEncodeSet, startManifestService } from './open-manifest.ts';

const title = 'titles/bunny';
const set = `${title}/encodeSets/v1`;
const session = 'session-1';
const stateNames = new Map<number, string>(Object.entries(ApplianceState).map(([name, state]) => [state, name]));

/** A title with a set, an origin, and two appliances that hold the set and are up. */
async function startFleet() {
  const app = await startManifestService();
  await app.client.createTitle({ title: { name: title } });
  await app.client.registerEncodeSet({ title, objectKey: await putEncodeSet(app.stores.objects, 'bunny', 'v1') });
  let sequence = 0n;
  const put = (name: string, change: object = {}) =>
    app.client.putAppliance({
      appliance: { name: `appliances/${name}`, baseUrl: `https://${name}.example.net`, ...change },
    });
  const beat = (name: string, network = 0.1, bootId = 'boot') =>
    app.client.reportHeartbeat({ appliance: `appliances/${name}`, bootId, sequence: ++sequence, load: { network } });
  const hold = (name: string, ...sets: string[]) =>
    app.client.reportHoldings({ appliance: `appliances/${name}`, heldEncodeSets: sets });
  const play = (change: object = {}) => app.client.getPlayback({ title, session, ...change });
  await put('origin', { origin: true });
  for (const name of ['near', 'far']) {
    await put(name, { prefixes: name === 'near' ? ['192.0.2.0/24'] : [], site: name });
    await beat(name);
    await hold(name, set);
  }
  return { ...app, put, beat, hold, play };
}

const placesOf = ({ sources }: { sources: readonly { appliance: string }[] }) =>
  sources.map(({ appliance }) => appliance.replace('appliances/', ''));

describe('playback', () => {
  it('says where to play from, best first, with URLs, reasons and files', async () => {
    await using app = await startFleet();
    const answer = await app.play({ clientAddress: '192.0.2.9' });
    assert.equal(answer.encodeSet?.name, set);
    assert.deepEqual(placesOf(answer), ['near', 'far', 'origin']);
    const [near] = answer.sources;
    assert.equal(near?.hlsUrl, 'https://near.example.net/titles/bunny/v1/master.m3u8');
    assert.equal(near.dashUrl, 'https://near.example.net/titles/bunny/v1/manifest.mpd');
    assert.deepEqual(
      [near.reasons?.proximity, near.reasons?.prefixBits, near.reasons?.distanceKm, near.reasons?.load],
      ['same_prefix', 24, -1, 0.1],
    );
    assert.match(near.reasons?.explanation ?? '', /same prefix, \/24 matches the client, load 0\.10/);
    assert.deepEqual(
      answer.sources.map(({ reasons }) => reasons?.proximity),
      ['same_prefix', 'anywhere', 'origin'],
    );
    assert.equal(answer.files.length, 5, 'video and audio, no manifests');
    assert.deepEqual(answer.excluded, {});
    assert.equal((await app.play({ sourceCount: 1 })).sources.length, 1);
  });

  it('reads the files of a set once and the fleet once a second, and still knows each heartbeat at once', async () => {
    await using app = await startFleet();
    await app.play();
    const { records } = app.stores;
    const { scan } = records;
    const scans: string[] = [];
    records.scan = (partition, range) => {
      scans.push(partition);
      return scan(partition, range);
    };
    await app.beat('near', 0.6);
    const answer = await app.play({ clientAddress: '192.0.2.9' });
    assert.equal(answer.sources[0]?.reasons?.load, 0.6);
    assert.equal(answer.files.length, 5);
    assert.deepEqual(scans, ['manifest/holders/bunny/v1']);
    await app.clock.advance(1_001);
    await app.play();
    assert.deepEqual(scans.slice(1).sort(), [
      'manifest/appliances',
      'manifest/heartbeats',
      'manifest/holders/bunny/v1',
    ]);
  });

  it('takes the peer of the call for a client without an address', async () => {
    await using app = await startFleet();
    await app.put('here', { prefixes: ['127.0.0.0/8'] });
    await app.beat('here');
    await app.hold('here', set);
    const [first] = (await app.play()).sources;
    assert.deepEqual([first?.appliance, first?.reasons?.prefixBits], ['appliances/here', 8]);
  });

  it('leaves out who does not hold the set, drains, is overloaded or down, and says so', async () => {
    await using app = await startFleet();
    await app.put('empty');
    await app.put('silent');
    await app.hold('silent', set);
    await app.beat('empty');
    await app.beat('far', 0.95);
    await app.put('near', { draining: true });
    const answer = await app.play({ clientAddress: '192.0.2.9' });
    assert.deepEqual(placesOf(answer), ['origin']);
    assert.deepEqual(answer.excluded, {
      'appliances/empty': 'NOT_HELD',
      'appliances/silent': 'DOWN',
      'appliances/far': 'OVERLOADED',
      'appliances/near': 'DRAINING',
    });
    await app.beat('far', 0.85);
    assert.deepEqual(placesOf(await app.play()), ['origin'], 'not back before it is below 0.8');
    await app.beat('far', 0.79);
    assert.deepEqual(placesOf(await app.play()), ['far', 'origin']);
  });

  it('follows heartbeats: suspects are last, the dead are out, the returned are back', async () => {
    await using app = await startFleet();
    const states = async () => {
      const { appliances } = await app.client.listAppliances({});
      return Object.fromEntries(
        appliances.map(({ name, state }) => [name.replace('appliances/', ''), stateNames.get(state)]),
      );
    };
    await app.clock.advance(30_000);
    await app.beat('far');
    assert.deepEqual(await states(), { far: 'UP', near: 'SUSPECT', origin: 'UP' });
    assert.deepEqual(placesOf(await app.play({ clientAddress: '192.0.2.9' })), ['far', 'origin', 'near']);
    await app.clock.advance(30_000);
    assert.equal((await states())['near'], 'DOWN');
    const answer = await app.play({ clientAddress: '192.0.2.9' });
    assert.deepEqual(answer.excluded, { 'appliances/near': 'DOWN' });
    await app.beat('near', 0.1, 'boot-2');
    assert.deepEqual(placesOf(await app.play({ clientAddress: '192.0.2.9' }))[0], 'near');
  });

  it('drops what an appliance no longer holds', async () => {
    await using app = await startFleet();
    const drop = { appliance: 'appliances/far', droppedEncodeSets: [set] };
    assert.equal((await app.client.reportHoldings(drop)).holdingCount, 0);
    assert.deepEqual((await app.play()).excluded, { 'appliances/far': 'NOT_HELD' });
    assert.equal((await app.hold('far', set, set)).holdingCount, 1);
    assert.ok(placesOf(await app.play()).includes('far'));
  });

  it('keeps a session at its place and spreads sessions over equals', async () => {
    await using app = await startFleet();
    const firsts = new Set<string | undefined>();
    for (let n = 0; n < 40; n++) {
      const [one] = placesOf(await app.play({ session: `s${n}`, clientAddress: '198.51.100.1' }));
      const [again] = placesOf(await app.play({ session: `s${n}`, clientAddress: '198.51.100.1' }));
      assert.equal(again, one);
      firsts.add(one);
    }
    assert.deepEqual([...firsts].sort(), ['far', 'near']);
  });

  it('plays an older set when it is asked for, from who holds it', async () => {
    await using app = await startFleet();
    await app.client.registerEncodeSet({ title, objectKey: await putEncodeSet(app.stores.objects, 'bunny', 'v2') });
    assert.deepEqual(placesOf(await app.play()), ['origin'], 'nobody else holds the new one');
    const older = await app.play({ title: set });
    assert.equal(older.encodeSet?.name, set);
    assert.equal(older.sources.length, 3);
    await rejectsWith(app.play({ title: `${title}/encodeSets/v9` }), Code.NOT_FOUND, 'ENCODESET_NOT_FOUND');
  });

  it('is refused before the launch, outside of the regions, and without a set or a source', async () => {
    await using app = await startFleet();
    const launchTime = timestampFromMs(app.clock.now() + 60_000);
    await app.client.updateTitle({ title: { name: title, launchTime, regions: ['DE', 'FR'] } });
    for (const clientRegion of ['', 'US']) {
      await rejectsWith(app.play({ clientRegion }), Code.FAILED_PRECONDITION, 'REGION_BLOCKED');
    }
    const early = await rejectsWith(app.play({ clientRegion: 'fr' }), Code.FAILED_PRECONDITION, 'TITLE_NOT_LAUNCHED');
    assert.equal(early.retryAfterMs, 60_000);
    await app.clock.advance(60_000);
    assert.deepEqual(placesOf(await app.play({ clientRegion: 'fr' })), ['origin']);
    await app.put('origin', { origin: true, draining: true });
    const none = await rejectsWith(app.play({ clientRegion: 'fr' }), Code.UNAVAILABLE, 'NO_SOURCE');
    assert.equal(none.metadata['origin'], 'DRAINING');
    await app.client.createTitle({ title: { name: 'titles/new' } });
    await rejectsWith(app.play({ title: 'titles/new' }), Code.FAILED_PRECONDITION, 'TITLE_NOT_READY');
    await rejectsWith(app.play({ title: 'titles/nope' }), Code.NOT_FOUND, 'TITLE_NOT_FOUND');
  });

  it('names the faulty fields of a request', async () => {
    await using app = await startFleet();
    const faults: [object, string][] = [
      [{ session: '' }, 'session'],
      [{ title: 'bunny' }, 'title'],
      [{ clientAddress: 'localhost' }, 'client_address'],
      [{ clientRegion: 'Germany' }, 'client_region'],
      [{ sourceCount: -1 }, 'source_count'],
      [{ hasLocation: true, latitude: 91 }, 'latitude'],
      [{ hasLocation: true, longitude: Number.NaN }, 'longitude'],
    ];
    for (const [change, field] of faults) {
      const error = await rejectsWith(app.play(change), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });
});

describe('appliances', () => {
  it('are put, replaced and listed in pages', async () => {
    await using app = await startFleet();
    const { appliance } = await app.put('near', {
      baseUrl: 'https://new.example.net/',
      asn: 64_500,
      throughputBps: 10_000_000_000n,
    });
    assert.equal(appliance?.baseUrl, 'https://new.example.net');
    assert.deepEqual([appliance.asn, appliance.throughputBps, appliance.prefixes], [64_500, 10_000_000_000n, []]);
    assert.equal(appliance.load?.network, 0.1, 'its heartbeats stay');
    const first = await app.client.listAppliances({ pageSize: 2 });
    const second = await app.client.listAppliances({ pageSize: 2, pageToken: first.nextPageToken });
    assert.deepEqual(
      placesOf({ sources: [...first.appliances, ...second.appliances].map(({ name }) => ({ appliance: name })) }),
      ['far', 'near', 'origin'],
    );
  });

  it('take a repeated heartbeat, and refuse older ones and those of an ended boot', async () => {
    await using app = await startFleet();
    const beat = (bootId: string, sequence: bigint, network = 0.5) =>
      app.client.reportHeartbeat({ appliance: 'appliances/far', bootId, sequence, load: { network } });
    await beat('boot-2', 5n);
    await app.clock.advance(1_000);
    const repeat = await beat('boot-2', 5n, 0.9);
    assert.equal(repeat.appliance?.load?.network, 0.5, 'a repeat changes nothing');
    assert.deepEqual(repeat.serverTime, timestampFromMs(app.clock.now()));
    await rejectsWith(beat('boot-2', 4n), Code.FAILED_PRECONDITION, 'HEARTBEAT_STALE');
    await rejectsWith(beat('boot', 100n), Code.FAILED_PRECONDITION, 'HEARTBEAT_STALE');
    await beat('boot-3', 1n);
  });

  it('are refused with the faulty fields named, or when they are unknown', async () => {
    await using app = await startFleet();
    const put = (change: object) => app.put('bad', change);
    const beat = (change: object) =>
      app.client.reportHeartbeat({ appliance: 'appliances/far', bootId: 'b', sequence: 1n, ...change });
    const faults: [Promise<unknown>, string][] = [
      [app.client.putAppliance({}), 'appliance'],
      [app.client.putAppliance({ appliance: { name: 'appliances/UP' } }), 'appliance.name'],
      [put({ baseUrl: '' }), 'appliance.base_url'],
      [put({ baseUrl: `https://x/${'a'.repeat(2_048)}` }), 'appliance.base_url'],
      [put({ capacityBytes: 2n ** 63n - 1n }), 'appliance.capacity_bytes'],
      [put({ throughputBps: 2n ** 53n }), 'appliance.throughput_bps'],
      [put({ baseUrl: 'ftp://x' }), 'appliance.base_url'],
      [put({ baseUrl: 'https://x/?a=b' }), 'appliance.base_url'],
      [put({ prefixes: ['10.0.0.0/8', '10.0.0.0/40'] }), 'appliance.prefixes[1]'],
      [put({ latitude: -91 }), 'appliance.latitude'],
      [put({ throughputBps: -1n }), 'appliance.throughput_bps'],
      [beat({ bootId: '' }), 'boot_id'],
      [beat({ load: { disk: 1.1 } }), 'load.disk'],
      [beat({ load: { network: Number.NaN } }), 'load.network'],
      [app.hold('far', 'titles/bunny'), 'held_encode_sets[0]'],
      [app.hold('far', ...Array<string>(251).fill(set)), 'held_encode_sets'],
    ];
    for (const [call, field] of faults) {
      const error = await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
    await rejectsWith(beat({ appliance: 'appliances/nope' }), Code.NOT_FOUND, 'APPLIANCE_NOT_FOUND');
    await rejectsWith(app.hold('nope', set), Code.NOT_FOUND, 'APPLIANCE_NOT_FOUND');
    await rejectsWith(app.hold('far', `${title}/encodeSets/v9`), Code.NOT_FOUND, 'ENCODESET_NOT_FOUND');
  });

  it('are refused beyond their bound, but may be replaced', async () => {
    await using app = await startManifestService({ maxAppliances: 2 });
    const put = (id: string) =>
      app.client.putAppliance({ appliance: { name: `appliances/${id}`, baseUrl: 'http://a.example.net' } });
    for (const id of ['a', 'b', 'a']) await put(id);
    await rejectsWith(put('c'), Code.RESOURCE_EXHAUSTED, 'TOO_MANY_APPLIANCES');
  });
});
