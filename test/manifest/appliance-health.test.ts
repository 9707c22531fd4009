import assert from 'node:assert/strict';
import type { Heartbeat } from '../../server/manifest/appliance.ts';
import { nextHeartbeat, probationShare, stateOf } from '../../server/manifest/appliance-health.ts';

const box = { draining: false, origin: false };
const load = (network: number) => ({ network, disk: 0, connections: 0 });

function beat(atMs: number, network = 0, last?: Heartbeat, bootId = 'boot'): Heartbeat {
  return nextHeartbeat(last, { bootId, sequence: BigInt(atMs), load: load(network) }, atMs);
}

describe('the health of an appliance', () => {
  it('is up, suspect after three missed heartbeats, down after six', () => {
    const heartbeat = beat(1_000_000);
    const stateAfter = (ms: number) => stateOf(box, heartbeat, 1_000_000 + ms, 0);
    const at = [0, 29_999, 30_000, 59_999, 60_000, 3_600_000];
    assert.deepEqual(at.map(stateAfter), ['up', 'up', 'suspect', 'suspect', 'down', 'down']);
  });

  it('is not blamed for the time in which nobody listened', () => {
    const heartbeat = beat(0);
    assert.equal(stateOf(box, heartbeat, 3_610_000, 3_600_000), 'up');
    assert.equal(stateOf(box, heartbeat, 3_660_000, 3_600_000), 'down');
  });

  it('is down before the first heartbeat, but for an origin, which is judged once it sends some', () => {
    assert.equal(stateOf(box, undefined, 0, 0), 'down');
    assert.equal(stateOf({ ...box, origin: true }, undefined, 0, 0), 'up');
    assert.equal(stateOf({ ...box, origin: true }, beat(0), 60_000, 0), 'down');
  });

  it('is draining whatever its heartbeats say', () => {
    for (const heartbeat of [undefined, beat(0)])
      assert.equal(stateOf({ ...box, draining: true }, heartbeat, 0, 0), 'draining');
  });

  it('is overloaded above 0.9 and again usable only below 0.8, by its greatest load', () => {
    let heartbeat: Heartbeat | undefined;
    const states = [0.85, 0.9, 0.901, 0.85, 0.8, 0.799, 0.85].map((network, index) => {
      heartbeat = beat(index * 10_000, network, heartbeat);
      return heartbeat.isOverloaded;
    });
    assert.deepEqual(states, [false, false, true, true, true, false, false]);
    const disk = nextHeartbeat(
      undefined,
      { bootId: 'b', sequence: 1n, load: { network: 0, disk: 0.95, connections: 0 } },
      0,
    );
    assert.equal(disk.isOverloaded, true);
  });

  it('gets a tenth of its share after an outage, doubling each minute, and all of it after a mere pause', () => {
    const start = 1_000_000_000;
    const first = beat(start);
    assert.equal(probationShare(first, start), 1);
    assert.equal(probationShare(undefined, start), 1);
    assert.equal(probationShare(beat(start + 59_999, 0, first), start + 60_000), 1);
    const back = beat(start + 60_000, 0, first, 'boot-2');
    const shares = [0, 59_999, 60_000, 120_000, 180_000, 240_000].map((ms) =>
      probationShare(back, start + 60_000 + ms),
    );
    assert.deepEqual(shares, [0.1, 0.1, 0.2, 0.4, 0.8, 1]);
    const later = beat(start + 70_000, 0, back);
    assert.equal(probationShare(later, start + 120_000), 0.2, 'later heartbeats do not start it over');
  });

  it('remembers the boot before', () => {
    const second = beat(10, 0, beat(0), 'boot-2');
    assert.equal(second.previousBootId, 'boot');
    assert.equal(beat(20, 0, second, 'boot-2').previousBootId, 'boot');
  });
});
