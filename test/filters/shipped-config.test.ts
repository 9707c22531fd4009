import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { AppError } from '../../server/core/errors.ts';
import { startShipped } from './bed/shipped.ts';

const paths = ['*'];
const home = { name: 'home', cluster: 'c' };
const away = { name: 'away', cluster: 'd' };

/** By filter: configurations that cannot be meant, each with the place that is to be named. */
const nonsense: Readonly<Record<string, readonly (readonly [place: string, config: object])[]>> = {
  routing: [
    ['clusters.c.endpoints[0].address', { clusters: { c: { endpoints: [{ address: '10.0.0.1:99999' }] } } }],
    ['clusters.c.endpoints[0].address', { clusters: { c: { endpoints: [{ address: '10.0.0.1:0' }] } } }],
    ['clusters.c.endpoints[0].address', { clusters: { c: { endpoints: [{ address: '[::::]:1' }] } } }],
    ['clusters.c', { clusters: { c: {} } }],
    ['clusters.c.dns.host', { clusters: { c: { dns: { host: 'a b', port: 1 } } } }],
    ['clusters.c.metadata.a key', { clusters: { c: { endpoints: [], metadata: { 'a key': 'x' } } } }],
    ['clusters.c.metadata.x-a', { clusters: { c: { endpoints: [], metadata: { 'x-a': 'two\nlines' } } } }],
    ['clusters.c.outlier.maxEjectionMs', { clusters: { c: { endpoints: [], outlier: { maxEjectionMs: 10 } } } }],
    ['rules[0]', { rules: [{ local: true, answer: {} }] }],
    ['rules[0].cluster', { rules: [{ cluster: 'no' }] }],
    ['rules[0].answer.code', { rules: [{ answer: { code: 'OK' } }] }],
    ['rules[0].answer.messages[1]', { rules: [{ answer: { messages: ['', 'no base64'] } }] }],
    ['rules[0].answer.headers.x-a-bin', { rules: [{ answer: { headers: { 'x-a-bin': 'x' } } }] }],
  ],
  fallback: [
    ['rules[0].steps', { rules: [{ paths, steps: [] }] }],
    ['rules[0].paths', { rules: [{ paths: [], steps: [{ kind: 'cached' }] }] }],
    ['rules[0].steps[0]', { rules: [{ paths, steps: [{ kind: 'other' }] }] }],
    ['rules[0].steps[0].path', { rules: [{ paths, steps: [{ kind: 'other', path: 'Get' }] }] }],
    ['rules[0].steps[0].messages[0]', { rules: [{ paths, steps: [{ kind: 'static', messages: ['%'] }] }] }],
  ],
  mirror: [['rules[0].paths', { rules: [{ paths: [], cluster: 'c' }] }]],
  failover: [
    ['groups.c.regions', { groups: { c: { regions: [home] } } }],
    ['groups.c.regions', { groups: { c: { regions: [home, { ...away, name: 'home' }] } } }],
    ['groups.c.steps', { groups: { c: { regions: [home, away], steps: [50, 5] } } }],
    ['groups.c.maxHoldMs', { groups: { c: { regions: [home, away], maxHoldMs: 10 } } }],
    ['isolated[1]', { groups: { c: { regions: [home, away] } }, isolated: ['home', 'hmoe'] }],
  ],
  retry: [['maxMs', { paths, baseMs: 1000, maxMs: 1 }]],
  'circuit-breaker': [['maxOpenMs', { enabled: true, openMs: 1000, maxOpenMs: 10 }]],
  'concurrency-limit': [
    ['unary.initial', { enabled: true, unary: { initial: 5, min: 10 } }],
    ['shares', { enabled: true, shares: { a: 0.9, b: 0.2 } }],
    ['shares.CRITICL', { enabled: true, partitionBy: 'priority', shares: { CRITICL: 0.9 } }],
  ],
  'load-shedding': [['limiter.saturateAt', { enabled: true, limiter: { throttleAt: 0.9 } }]],
  'fault-injection': [['rules[0]', { enabled: true, rules: [{ abortAfter: 3 }] }]],
  stress: [['maxPercent', { enabled: true, startPercent: 50, maxPercent: 10 }]],
  'surgical-debug': [
    ['rules[0].expiresAt', { rules: [{ name: 'r', paths, expiresAt: 'tomorrow-ish' }] }],
    ['rules[0]', { rules: [{ name: 'r', expiresAt: '2030-01-01T00:00:00Z' }] }],
  ],
  external: [
    ['target', { enabled: true }],
    ['target', { enabled: true, target: 'nowhere' }],
  ],
};

describe('the configuration of a shipped filter', () => {
  for (const [name, cases] of Object.entries(nonsense)) {
    it(`is refused with the place of what cannot be meant: ${name}`, async () => {
      const id = `showrunner.${name}`;
      for (const [place, config] of cases) {
        const error = await startShipped({ [id]: config }, { clock: systemClock, only: [id] }).then(
          () => assert.fail(`taken: ${JSON.stringify(config)}`),
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof AppError, String(error));
        assert.equal(error.reason, 'FILTER_CONFIG_INVALID');
        assert.deepEqual(
          error.fields.map(({ field }) => field),
          [`config.${place}`],
        );
      }
    });
  }
});
