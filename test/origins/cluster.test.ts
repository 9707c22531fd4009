import assert from 'node:assert/strict';
import { createCluster } from '../../plugins/origins/cluster.ts';
import { createStaticDiscovery } from '../../plugins/origins/discovery.ts';
import type { OriginRequest } from '../../plugins/origins/origin-call.ts';
import { Code } from '../../server/core/codes.ts';
import { type OriginCallOptions, OriginError, type Origins } from '../../server/core/origins.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeCall } from '../filters/bed/fake-call.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const late = new OriginError({
  ...{ code: Code.DEADLINE_EXCEEDED, reason: 'DEADLINE_EXCEEDED', message: 'late', isProcessed: true },
  pushbackMs: undefined,
});

describe('a cluster whose calls end at a deadline', () => {
  for (const [what, extra, tookMs, isEjected] of [
    ['a first try that had little time', {}, 5, true],
    ['a hedge that had what its first try left', { isHedge: true }, 5, false],
    ['a hedge that had time', { isHedge: true }, 100, true],
  ] as const) {
    it(`${isEjected ? 'blames' : 'does not blame'} the host of ${what}`, async () => {
      const clock = createFakeClock();
      const origins: Origins = {
        // The clock of deadlines on a connection is the real one: this one fails when it is told to.
        call: (_target, _path, _requests, _options: OriginCallOptions) => ({
          next: async () => {
            await clock.advance(tookMs);
            throw late;
          },
          [Symbol.asyncIterator]() {
            return this;
          },
        }),
        connect: () => {},
        release: () => {},
        stats: () => ({ started: 0, failed: 0, inFlight: 0, origins: 0 }),
      };
      const outlier = { consecutiveErrors: 1, sweepMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000 };
      const cluster = createCluster(
        {
          ...{
            name: 'c',
            zone: '',
            spillAt: 32,
            maxRequests: 10,
            timeoutMs: undefined,
            metadata: {},
            dropMetadata: [],
          },
          outlier: {
            ...outlier,
            maxEjectedPercent: 10,
            minHosts: 5,
            minRequests: 100,
            stdevFactor: 1.9,
            minTimeoutMs: 100,
          },
        },
        {
          origins,
          discovery: createStaticDiscovery([{ address: 'h:1', zone: '' }]),
          clock,
          random: createSeededRandom(1),
        },
      );
      await cluster.start();
      const call = createFakeCall();
      const request: OriginRequest = {
        ...{ exchange: { call, sendHeaders: () => {}, local: undefined }, cluster: 'c', path: call.path, attempts: [] },
        ...{ requests: (async function* () {})(), deadline: Number.POSITIVE_INFINITY, signal: call.signal },
        ...{
          onHeaders: () => {},
          onTrailers: () => {},
          avoid: new Set(),
          previousAttempts: 0,
          isHedge: false,
          ...extra,
        },
      };
      await assert.rejects(cluster.call(request).next(), late);
      const [host] = cluster.hosts();
      assert.equal(host !== undefined && cluster.isEjected(host), isEjected);
    });
  }
});
