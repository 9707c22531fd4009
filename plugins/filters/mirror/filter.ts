import { createCounters, defineFilter, globMatcher, schema } from '../../engine/filter.ts';
import { someGlobs } from '../../origins/config-parts.ts';
import { addLayer } from '../../origins/origin-call.ts';
import { createMirrorLayer } from './mirror-layer.ts';

const rule = schema.shape({
  paths: someGlobs,
  /** A cluster of the routing filter. */
  cluster: schema.text(1, 64),
  percent: schema.withDefault(schema.number(0, 100), 100),
  timeoutMs: schema.withDefault(schema.integer(1, 600_000), 10_000),
});

const config = schema.shape({
  /** The first rule whose paths match counts; none = the filter is off. */
  rules: schema.withDefault(schema.list(rule, 100), []),
  /** Copies at once; a call beyond it is not copied. */
  maxConcurrent: schema.withDefault(schema.integer(1, 100_000), 100),
  /** Requests of one call that may wait for the mirror; beyond it the copy is given up. */
  maxBufferBytes: schema.withDefault(schema.integer(0, 67_108_864), 1_048_576),
});

/** Mirror traffic: send-and-go copies of a share of the calls, remote or served in this process. */
export const filter = defineFilter({
  id: 'showrunner.mirror',
  version: '1.0.0',
  type: 'inbound',
  order: 130,
  category: 'routing',
  failurePolicy: 'open',
  config,
  isEnabled: ({ rules }) => rules.length > 0,
  open: ({ rules, maxConcurrent, maxBufferBytes }, { clock }) => {
    let running = 0;
    const enter = () => {
      if (running >= maxConcurrent) return undefined;
      running++;
      return () => void running--;
    };
    const counters = createCounters('mirror', {
      sent: 'copies of calls',
      failed: 'copies that failed',
      dropped: 'calls not copied because too many copies were in progress',
      overrun: 'copies given up because the mirror took their requests too slowly',
    });
    return rules.map(({ paths, percent, cluster, timeoutMs }) => ({
      isMatch: globMatcher(paths),
      percent,
      layer: createMirrorLayer({ cluster, timeoutMs, maxBufferBytes, enter, counters, clock }),
    }));
  },
  shouldRun: (call, { state, random }) => {
    const found = state.find(({ isMatch }) => isMatch(call.path));
    return found !== undefined && random.next() * 100 < found.percent;
  },
  run: (call, { state }) => {
    const found = state.find(({ isMatch }) => isMatch(call.path));
    if (found !== undefined) addLayer(call, found.layer);
  },
});
