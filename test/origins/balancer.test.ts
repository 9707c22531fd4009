import assert from 'node:assert/strict';
import { type PickOptions, pickHost } from '../../plugins/origins/balancer.ts';
import { addLatency, createHost, type Host, latencyNow } from '../../plugins/origins/host.ts';
import { createSeededRandom } from '../../server/core/random.ts';

const hostsIn = (zone: string, count: number): Host[] =>
  Array.from({ length: count }, (_, index) => createHost({ address: `${zone}-${index}:1`, zone }));

function options(own: readonly Host[], others: readonly Host[] = [], extra: Partial<PickOptions> = {}): PickOptions {
  const random = createSeededRandom(7);
  return { own, others, isUsable: () => true, avoid: new Set(), spillAt: 32, random, now: 0, ...extra };
}

/** How often each host is picked in `calls` picks. */
function counts(calls: number, given: PickOptions): Map<string, number> {
  const seen = new Map<string, number>();
  for (let i = 0; i < calls; i++) {
    const address = pickHost(given)?.address ?? 'none';
    seen.set(address, (seen.get(address) ?? 0) + 1);
  }
  return seen;
}

function shareOfZone(calls: number, given: PickOptions, zone: string): number {
  return [...counts(calls, given)].reduce((sum, [at, n]) => sum + (at.startsWith(zone) ? n : 0), 0) / calls;
}

describe('the balancer', () => {
  for (const count of [1, 2, 3, 5, 16]) {
    it(`spreads calls over ${count} equal hosts within 10 %`, () => {
      const seen = counts(20_000, options(hostsIn('a', count)));
      assert.equal(seen.size, count);
      for (const [address, calls] of seen) {
        const share = (calls * count) / 20_000;
        assert.ok(share > 0.9 && share < 1.1, `${address} got ${share} of its share`);
      }
    });
  }

  it('keeps equal latencies with noise within 10 % of each other', () => {
    const hosts = hostsIn('a', 4);
    const noise = createSeededRandom(3);
    for (const host of hosts) addLatency(host, 5 + noise.next(), 0);
    for (const calls of counts(20_000, options(hosts)).values()) assert.ok(Math.abs(calls - 5000) < 500);
  });

  it('prefers the host with fewer calls in progress, the faster one, and the one without failures', () => {
    const [a, b] = hostsIn('a', 2) as [Host, Host];
    a.inFlight = 3;
    assert.deepEqual([...counts(100, options([a, b]))], [[b.address, 100]]);
    a.inFlight = 0;
    addLatency(a, 100, 0);
    addLatency(b, 10, 0);
    assert.deepEqual([...counts(100, options([a, b]))], [[b.address, 100]]);
    addLatency(b, 1000, 60_000);
    assert.deepEqual([...counts(100, options([a, b], [], { now: 60_000 }))], [[a.address, 100]]);
    const [c, d] = hostsIn('c', 2) as [Host, Host];
    c.consecutiveErrors = 2;
    c.failedAt = 0;
    assert.deepEqual([...counts(100, options([c, d]))], [[d.address, 100]]);
    assert.equal(counts(100, options([c, d], [], { now: 5000 })).size, 2, 'it is tried again soon');
  });

  it('tries a slow host again once its figure has faded', () => {
    const [a] = hostsIn('a', 1) as [Host];
    addLatency(a, 100, 0);
    assert.ok(latencyNow(a, 0) === 100 && latencyNow(a, 60_000) < 1);
  });

  it('stays in its own zone while that is well', () => {
    assert.equal(shareOfZone(1000, options(hostsIn('a', 2), hostsIn('b', 8)), 'a'), 1);
  });

  it('spills to other zones in the measure in which its own loses hosts', () => {
    const own = hostsIn('a', 10);
    const down = new Set(own.slice(0, 5));
    const share = shareOfZone(20_000, options(own, hostsIn('b', 5), { isUsable: (host) => !down.has(host) }), 'a');
    assert.ok(Math.abs(share - 0.7) < 0.02, `${share} stayed in the zone`);
    const few = new Set(own.slice(0, 2));
    assert.equal(shareOfZone(1000, options(own, hostsIn('b', 5), { isUsable: (host) => !few.has(host) }), 'a'), 1);
    assert.equal(shareOfZone(1000, options(own, hostsIn('b', 5), { isUsable: (host) => host.zone === 'b' }), 'b'), 1);
  });

  it('spills when the hosts of its own zone are full and others are not', () => {
    const own = hostsIn('a', 2);
    const others = hostsIn('b', 2);
    for (const host of own) host.inFlight = 32;
    assert.equal(shareOfZone(1000, options(own, others), 'b'), 1);
    for (const host of others) host.inFlight = 40;
    assert.equal(shareOfZone(1000, options(own, others), 'a'), 1);
  });

  it('leaves hosts out that were tried, in either zone, unless there is no other', () => {
    const own = hostsIn('a', 1);
    const others = hostsIn('b', 1);
    const avoid = new Set(['a-0:1']);
    assert.equal(shareOfZone(100, options(own, others, { avoid }), 'b'), 1);
    assert.equal(shareOfZone(100, options(own, [], { avoid }), 'a'), 1);
  });

  it('takes any host when none is usable, and gives none when there is none', () => {
    assert.ok(counts(1000, options(hostsIn('a', 3), [], { isUsable: () => false })).size === 3);
    assert.equal(pickHost(options([])), undefined);
  });
});
