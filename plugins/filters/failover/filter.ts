import { createCounters, defineFilter, schema } from '../../engine/filter.ts';
import { addLayer } from '../../origins/origin-call.ts';
import { watchFile } from '../../origins/watched-file.ts';
import { createFailoverLayer, type RegionGroup } from './failover-layer.ts';
import { createRegionSwitch } from './region-switch.ts';

const ms = schema.integer(1, 86_400_000);
const name = schema.text(1, 64);

const groupFields = schema.shape({
  /** In order of preference, the home region first; clusters of the routing filter. */
  regions: schema.list(schema.shape({ name, cluster: name }), 20),
  windowMs: schema.withDefault(ms, 10_000),
  minCalls: schema.withDefault(schema.integer(1, 1_000_000), 20),
  /** A call that ran out of time sooner counts as nothing: callers in a hurry must not send all others away. */
  minTimeoutMs: schema.withDefault(schema.integer(0, 60_000), 100),
  failurePercent: schema.withDefault(schema.number(1, 100), 50),
  holdMs: schema.withDefault(ms, 30_000),
  maxHoldMs: schema.withDefault(ms, 600_000),
  steps: schema.withDefault(schema.list(schema.number(0.1, 100), 20), [5, 20, 50] as const),
  stepMs: schema.withDefault(ms, 20_000),
});

const group = schema.where(groupFields, ({ regions, holdMs, maxHoldMs, steps }, fault) => {
  if (new Set(regions.map((region) => region.name)).size < Math.max(2, regions.length)) {
    fault('regions', 'expected at least two, each with a name of its own');
  }
  if (maxHoldMs < holdMs) fault('maxHoldMs', 'expected at least holdMs');
  if (steps.some((share, index) => share < (steps[index - 1] ?? 0))) fault('steps', 'expected shares that grow');
});

const fields = schema.shape({
  /** By the cluster that rules of the routing filter name; none = the filter is off. */
  groups: schema.optional(schema.table(group, 100)),
  /** Regions that get no calls. */
  isolated: schema.withDefault(schema.list(name, 100), []),
  /** JSON file with a list of more such regions, followed as it changes: the operators' switch. */
  isolationFile: schema.optional(schema.text()),
  maxReplayBytes: schema.withDefault(schema.integer(0, 16_777_216), 262_144),
});

const config = schema.where(fields, ({ groups, isolated }, fault) => {
  const known = namesOf(groups?.values() ?? []);
  for (const [index, region] of isolated.entries()) {
    // A slip in a name would leave the calls where they must not be.
    if (!known.has(region)) fault(`isolated[${index}]`, `no group has a region ${region}`);
  }
});

function namesOf(groups: Iterable<Pick<RegionGroup, 'regions'>>): ReadonlySet<string> {
  return new Set([...groups].flatMap(({ regions }) => regions.map((region) => region.name)));
}

function parseRegions(text: string): readonly string[] {
  const raw: unknown = JSON.parse(text);
  if (Array.isArray(raw) && raw.every((region) => typeof region === 'string')) return raw;
  throw new Error('expected a list of region names');
}

function isolate(group: RegionGroup, names: readonly string[]): void {
  const indices = group.regions.flatMap((region, index) => (names.includes(region.name) ? [index] : []));
  group.choice.isolate(new Set(indices));
}

/**
 * Multi-region failover of clusters: leaves a region by its failures or by its operators' switch, and comes back to
 * it in steps. Needs the routing filter, whose rules name the group.
 */
export const filter = defineFilter({
  id: 'showrunner.failover',
  version: '1.0.0',
  type: 'inbound',
  order: 140,
  category: 'resilience',
  failurePolicy: 'open',
  config,
  isEnabled: ({ groups }) => (groups?.size ?? 0) > 0,
  open: async (settings, { clock, random, log }) => {
    const groups = new Map<string, RegionGroup>();
    for (const [cluster, entry] of settings.groups ?? []) {
      const choice = createRegionSwitch(entry.regions.length, entry, { clock, random });
      groups.set(cluster, { regions: entry.regions, choice, minTimeoutMs: entry.minTimeoutMs });
    }
    const known = namesOf(groups.values());
    const apply = (listed: readonly string[]) => {
      // The file may be one for many servers, which have other groups.
      const unknown = listed.filter((region) => !known.has(region));
      if (unknown.length > 0) log.warn('isolated regions that no group has', { regions: unknown.join(', ') });
      for (const one of groups.values()) isolate(one, [...settings.isolated, ...listed]);
    };
    const path = settings.isolationFile;
    let stop = () => {};
    if (path === undefined) apply([]);
    else stop = await watchFile({ path, parse: parseRegions, changed: apply, clock, log });
    const counters = createCounters('failover', {
      away: 'calls sent to a region that is not home',
      moved: 'calls that moved on because a region did nothing with them',
      isolated: 'calls refused because every region was isolated',
    });
    return {
      layer: createFailoverLayer({ groups, maxReplayBytes: settings.maxReplayBytes, counters, clock }),
      groups,
      stop,
    };
  },
  close: ({ stop }) => stop(),
  run: (call, { state }) => addLayer(call, state.layer),
});
