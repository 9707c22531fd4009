import assert from 'node:assert/strict';
import { createHost, type Host } from '../../plugins/origins/host.ts';
import { createOutlierDetector, type OutlierConfig } from '../../plugins/origins/outlier.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const config: OutlierConfig = {
  ...{ consecutiveErrors: 5, sweepMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000, maxEjectedPercent: 10 },
  ...{ minHosts: 5, minRequests: 100, stdevFactor: 1.9, minTimeoutMs: 100 },
};
const hostsOf = (count: number): Host[] =>
  Array.from({ length: count }, (_, index) => createHost({ address: `h${index}:1`, zone: '' }));

function bed(count: number, extra: Partial<OutlierConfig> = {}) {
  const clock = createFakeClock();
  const hosts = hostsOf(count);
  const detector = createOutlierDetector({ ...config, ...extra }, clock);
  const host = (index: number) => hosts[index] ?? assert.fail(`no host ${index}`);
  const fail = (index: number, times: number) => {
    for (let i = 0; i < times; i++) detector.record(host(index), false, hosts);
  };
  const succeed = (index: number, times: number) => {
    for (let i = 0; i < times; i++) detector.record(host(index), true, hosts);
  };
  const ejected = () => hosts.filter((one) => detector.isEjected(one)).map((one) => hosts.indexOf(one));
  return { clock, hosts, detector, fail, succeed, ejected };
}

describe('outlier ejection', () => {
  it('ejects after five failures in a row, not after four and a success', () => {
    const { fail, succeed, ejected } = bed(10);
    fail(0, 4);
    succeed(0, 1);
    fail(0, 4);
    assert.deepEqual(ejected(), []);
    fail(0, 1);
    assert.deepEqual(ejected(), [0]);
  });

  it('lasts n times as long the n-th time, up to the maximum, and forgets in good times', async () => {
    const { clock, fail, succeed, ejected } = bed(10, { maxEjectionMs: 70_000 });
    const durations: number[] = [];
    for (let time = 0; time < 4; time++) {
      fail(0, 5);
      let lasted = 0;
      for (; ejected().length > 0; lasted += 1000) await clock.advance(1000);
      durations.push(lasted);
    }
    assert.deepEqual(durations, [30_000, 60_000, 70_000, 70_000]);
    for (let sweep = 0; sweep < 6; sweep++) {
      await clock.advance(10_000);
      succeed(0, 1);
    }
    fail(0, 5);
    let lasted = 0;
    for (; ejected().length > 0; lasted += 1000) await clock.advance(1000);
    assert.equal(lasted, 30_000);
  });

  it('takes out a tenth of the hosts at most, but one of a few', () => {
    const few = bed(3);
    few.fail(0, 5);
    few.fail(1, 5);
    assert.deepEqual(few.ejected(), [0]);
    const many = bed(30);
    for (let index = 0; index < 10; index++) many.fail(index, 5);
    assert.deepEqual(many.ejected(), [0, 1, 2]);
    assert.equal(many.detector.ejected, 3);
  });

  it('ejects a host whose success rate is below mean - 1.9 standard deviations', async () => {
    const { clock, hosts, detector, ejected } = bed(10);
    const sweepAfter = async (rates: readonly number[], calls: number) => {
      for (let call = 0; call < calls; call++) {
        for (const [index, host] of hosts.entries()) {
          // Failures spread evenly, so that five never come in a row.
          const isSuccess = Math.floor((call + 1) * (rates[index] ?? 1)) > Math.floor(call * (rates[index] ?? 1));
          detector.record(host, isSuccess, hosts);
        }
      }
      await clock.advance(10_000);
      detector.record(hosts[9] ?? assert.fail(), true, hosts);
    };
    await sweepAfter([0.7, 1, 1, 1, 1, 1, 1, 1, 1, 1], 99);
    assert.deepEqual(ejected(), [], 'too few calls');
    await sweepAfter([0.7, 1, 1, 1, 1, 1, 1, 1, 1, 1], 200);
    assert.deepEqual(ejected(), [0]);
    await clock.advance(30_000);
    await sweepAfter([0.7, 0.7, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8], 200);
    assert.deepEqual(ejected(), [], 'bad together is no outlier');
  });
});
