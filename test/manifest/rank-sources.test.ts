import assert from 'node:assert/strict';
import { createSeededRandom } from '../../server/core/random.ts';
import { parseIpAddress, parseIpNetwork } from '../../server/manifest/ip-network.ts';
import { type Candidate, type Client, explain, rankSources } from '../../server/manifest/rank-sources.ts';

function candidate(id: string, change: Partial<Candidate> = {}): Candidate {
  return {
    id,
    site: '',
    region: '',
    asn: 0,
    networks: [],
    location: undefined,
    origin: false,
    state: 'up',
    isOverloaded: false,
    holds: true,
    load: 0,
    weight: 1,
    ...change,
  };
}

function client(session: string, change: Partial<Client> = {}): Client {
  return { session, address: undefined, region: '', asn: 0, location: undefined, ...change };
}

const networks = (...texts: string[]) =>
  texts.map((text) => parseIpNetwork(text) ?? assert.fail(`${text} is no network`));
const order = (candidates: readonly Candidate[], of: Client) => rankSources(candidates, of).ranked.map(({ id }) => id);
const sessions = Array.from({ length: 10_000 }, (_, index) => `session-${index}`);

/** Sessions won by each appliance. */
function winners(candidates: readonly Candidate[]): Map<string, number> {
  const counts = new Map(candidates.map(({ id }) => [id, 0]));
  for (const session of sessions) {
    const [first = ''] = order(candidates, client(session));
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  return counts;
}

describe('ranking sources', () => {
  it('goes by proximity class: prefix, site, ASN, region, anywhere, origin', () => {
    const here = client('s', { address: parseIpAddress('192.0.2.7'), region: 'DE', asn: 64_500 });
    const candidates = [
      candidate('far'),
      candidate('origin', { origin: true, networks: networks('192.0.2.0/24') }),
      candidate('region', { region: 'de' }),
      candidate('finer-region', { region: 'de-fra' }),
      candidate('asn', { asn: 64_500 }),
      candidate('site', { site: 'fra1' }),
      candidate('prefix', { site: 'fra1', networks: networks('192.0.2.0/24') }),
    ];
    const { ranked } = rankSources(candidates, here);
    assert.deepEqual(
      ranked.map(({ proximity }) => proximity),
      ['same_prefix', 'same_site', 'same_asn', 'same_region', 'same_region', 'anywhere', 'origin'],
    );
    assert.deepEqual([ranked[0]?.id, ranked[1]?.id, ranked[2]?.id], ['prefix', 'site', 'asn']);
  });

  it('knows the region and site of a client from the nearest appliances, even of one that is down', () => {
    const here = client('s', { address: parseIpAddress('192.0.2.7') });
    const candidates = [
      candidate('dead', { state: 'down', site: 'ams1', region: 'eu-west', networks: networks('192.0.2.0/24') }),
      candidate('neighbour', { site: 'ams1' }),
      candidate('same-region', { region: 'EU-West' }),
      candidate('other', { region: 'us-east' }),
    ];
    assert.deepEqual(order(candidates, here), ['neighbour', 'same-region', 'other']);
  });

  it('prefers the longest matching prefix of either family', () => {
    const candidates = [
      candidate('wide', { networks: networks('192.0.0.0/16', '2001:db8::/32') }),
      candidate('narrow', { networks: networks('192.0.2.0/24', '2001:db8:1::/48') }),
      candidate('other', { networks: networks('198.51.100.0/24') }),
    ];
    for (const [address, bits] of [
      ['192.0.2.1', [24, 16, -1]],
      ['2001:db8:1::5', [48, 32, -1]],
      ['::ffff:192.0.2.1', [24, 16, -1]],
    ] as const) {
      const { ranked } = rankSources(candidates, client('s', { address: parseIpAddress(address) }));
      assert.deepEqual(
        ranked.map(({ prefixBits }) => prefixBits),
        bits,
      );
    }
  });

  it('goes by distance before load, and by load before the hash, where classes are equal', () => {
    const paris = { latitude: 48.86, longitude: 2.35 };
    const candidates = [
      candidate('unplaced'),
      candidate('madrid', { location: { latitude: 40.42, longitude: -3.7 } }),
      candidate('lille-busy', { location: { latitude: 50.63, longitude: 3.06 }, load: 0.85 }),
      candidate('reims', { location: { latitude: 49.26, longitude: 4.03 }, load: 0.3 }),
      candidate('versailles', { location: { latitude: 48.8, longitude: 2.13 }, load: 0.6 }),
    ];
    for (const session of sessions.slice(0, 50)) {
      const ranked = order(candidates, client(session, { location: paris }));
      assert.deepEqual(ranked, ['versailles', 'reims', 'lille-busy', 'madrid', 'unplaced']);
    }
    const equal = ['a', 'b', 'c'].map((id, index) => candidate(id, { load: [0.76, 0.1, 0.55][index] ?? 0 }));
    for (const session of sessions.slice(0, 50)) assert.deepEqual(order(equal, client(session)), ['b', 'c', 'a']);
  });

  it('ranks a suspect last, even after the origin', () => {
    const here = client('s', { address: parseIpAddress('192.0.2.7') });
    const candidates = [
      candidate('suspect', { state: 'suspect', networks: networks('192.0.2.0/24') }),
      candidate('origin', { origin: true }),
    ];
    const { ranked } = rankSources(candidates, here);
    assert.deepEqual(
      ranked.map(({ id }) => id),
      ['origin', 'suspect'],
    );
    assert.match(explain(ranked[1] ?? assert.fail()), /same prefix, \/24 matches.*missed heartbeats/);
  });

  it('leaves out what cannot serve, with the reason of each', () => {
    const candidates = [
      candidate('draining', { state: 'draining', holds: false }),
      candidate('down', { state: 'down' }),
      candidate('empty', { holds: false }),
      candidate('hot', { isOverloaded: true }),
      candidate('fine'),
    ];
    const { ranked, excluded } = rankSources(candidates, client('s'));
    assert.deepEqual(
      ranked.map(({ id }) => id),
      ['fine'],
    );
    assert.deepEqual(Object.fromEntries(excluded), {
      draining: 'DRAINING',
      down: 'DOWN',
      empty: 'NOT_HELD',
      hot: 'OVERLOADED',
    });
  });

  it('is deterministic, whatever the order of the candidates', () => {
    const random = createSeededRandom(7);
    const pick = <T>(...values: T[]) => values[Math.floor(random.next() * values.length)] as T;
    const here = client('s', {
      address: parseIpAddress('10.1.2.3'),
      region: 'FR',
      asn: 1,
      location: { latitude: 45, longitude: 5 },
    });
    for (let round = 0; round < 200; round++) {
      const candidates = Array.from({ length: 12 }, (_, index) =>
        candidate(`c${index}`, {
          site: pick('', 'x', 'y'),
          region: pick('', 'fr', 'us'),
          asn: pick(0, 1, 2),
          networks: pick([], networks('10.0.0.0/8'), networks('10.1.2.0/24')),
          location: pick(undefined, { latitude: random.next() * 90, longitude: random.next() * 180 }),
          origin: pick(false, false, true),
          state: pick('up', 'up', 'suspect', 'down'),
          load: random.next(),
          weight: 0.1 + random.next(),
        }),
      );
      const shuffled = [...candidates].sort(() => random.next() - 0.5);
      assert.deepEqual(rankSources(shuffled, here).ranked, rankSources(candidates, here).ranked);
      assert.deepEqual(order(candidates, here), order(candidates, here));
    }
  });

  it('shares 10,000 sessions over equal appliances within 10 %', () => {
    for (const count of [2, 3, 5, 8]) {
      const fair = sessions.length / count;
      for (const [id, won] of winners(Array.from({ length: count }, (_, index) => candidate(`oca-${index}`)))) {
        assert.ok(Math.abs(won - fair) <= fair * 0.1, `${id} of ${count} won ${won}, fair is ${fair}`);
      }
    }
  });

  it('shares sessions by weight', () => {
    const won = winners([candidate('one'), candidate('two', { weight: 2 }), candidate('five', { weight: 5 })]);
    for (const [id, share] of [
      ['one', 1 / 8],
      ['two', 2 / 8],
      ['five', 5 / 8],
    ] as const) {
      const part = (won.get(id) ?? 0) / sessions.length;
      assert.ok(Math.abs(part - share) < share * 0.1, `${id} won ${part} of all, its weight is ${share}`);
    }
  });

  it('moves only the sessions of an appliance that leaves, and spreads them over the rest', () => {
    const all = Array.from({ length: 6 }, (_, index) => candidate(`oca-${index}`, { weight: 1 + (index % 2) }));
    const rest = all.filter(({ id }) => id !== 'oca-3');
    const heirs = new Set<string>();
    let moved = 0;
    for (const session of sessions) {
      const [before, next] = order(all, client(session));
      const [after] = order(rest, client(session));
      if (before !== 'oca-3') assert.equal(after, before);
      else {
        moved++;
        assert.equal(after, next, 'the second choice takes over');
        heirs.add(after ?? '');
      }
    }
    assert.ok(moved > 1_500 && moved < 3_000);
    assert.equal(heirs.size, 5);
  });

  it('does not move sessions for small differences of load', () => {
    const calm = ['a', 'b', 'c'].map((id) => candidate(id, { load: 0.2 }));
    const uneven = ['a', 'b', 'c'].map((id, index) => candidate(id, { load: 0.2 + index * 0.1 }));
    for (const session of sessions.slice(0, 500)) {
      assert.deepEqual(order(uneven, client(session)), order(calm, client(session)));
    }
  });

  it('gives a hash between 0 and 1 for every weight', () => {
    for (const weight of [1e-6, 0.1, 1, 1e6]) {
      for (const session of sessions.slice(0, 200)) {
        const [source] = rankSources([candidate('a', { weight })], client(session)).ranked;
        assert.ok(source !== undefined && source.hash >= 0 && source.hash <= 1);
      }
    }
  });
});
