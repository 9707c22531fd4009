import { defineFilter } from '../../engine/filter.ts';
import { hasLocalLayer } from '../../origins/origin-call.ts';
import { openClusters } from './clusters.ts';
import { createProxy, id } from './proxy-answer.ts';
import { routingConfig } from './routing-config.ts';
import { compileRules } from './rules.ts';

/**
 * Dynamic routing: the first rule that matches sends the call to a cluster of remote origins, to the endpoint in this
 * process, or to a fixed answer. The retry, hedging, failover, mirror and fallback filters put their layers around the
 * call here. Without a rule or a layer the call goes on as if this filter were not there.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'endpoint',
  order: 0,
  category: 'routing',
  failurePolicy: 'closed',
  config: routingConfig,
  open: async (config, { origins, clock, log, random }) => {
    const routeOf = compileRules(config, random);
    const clusters = await openClusters(config, { origins, clock, log, random });
    const answerFrom = createProxy({ clusters, showAttempts: config.showAttempts, clock, log });
    // One answer per target, made once: they hold nothing of a call.
    const answers = new Map([undefined, ...clusters.keys()].map((cluster) => [cluster, answerFrom(cluster)]));
    return { routeOf, clusters, answers, hasRules: config.rules.length > 0 };
  },
  close: ({ clusters }) => {
    for (const cluster of clusters.values()) cluster.close();
  },
  shouldRun: (call, { state }) => state.hasRules || hasLocalLayer(call),
  run: (call, { state, config }) => {
    const route = state.routeOf(call);
    if (route !== undefined && config.showRoute) call.responseHeaders.set('x-route', route.rule);
    if (route?.answer !== undefined) return route.answer(call);
    if (route?.cluster === undefined && !hasLocalLayer(call)) return undefined;
    return state.answers.get(route?.cluster);
  },
});
