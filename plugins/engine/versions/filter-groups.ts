import { AppError, messageOf } from '../../../server/core/errors.ts';
import { newId } from '../../../server/core/ids.ts';
import { filterRefused, groupUnknown } from '../filter-errors.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from '../load/loaded-filter.ts';
import { newKeyFaults } from '../set/key-faults.ts';
import { orderFaults } from '../set/running-order.ts';
import type {
  EndedStage,
  FilterGroup,
  FilterGroups,
  FilterGroupsDeps,
  GroupMember,
  Promotion,
} from './filter-group.ts';
import type { StoredGroup } from './group-store.ts';
import { type FilterSource, stageFilter } from './stage-filter.ts';
import { createCanary, createShadow, type Trial, type TrialMember } from './trial.ts';

const maxWaiting = 20;
/** Active groups that newer ones cover and that stay open, so that a rollback is one step. */
const maxCovered = 5;
const maxEnded = 1000;

function toStored({ id, stage, share, principals, order, members }: FilterGroup): StoredGroup {
  return { id, stage, share, principals, order, sources: members.map(({ given }) => given) };
}

/** The groups of staged versions over the versions from folders. Its steps must not overlap: the caller queues them. */
export function createFilterGroups(deps: FilterGroupsDeps): FilterGroups {
  const { options, store, limits } = deps;
  const { clock, log } = options;
  const groups = new Map<string, FilterGroup>();
  const ended = new Set<string>();

  const inOrder = () => [...groups.values()].toSorted((a, b) => a.order - b.order);
  const nextOrder = () => Math.max(0, ...[...groups.values()].map(({ order }) => order)) + 1;
  const activeFor = (id: string) =>
    inOrder().findLast(({ stage, members }) => stage === 'active' && members.some(({ filter }) => filter.id === id));

  /** The version that serves the id, without what is on trial. */
  function activeFilter(id: string): LoadedFilter | undefined {
    const member = activeFor(id)?.members.find(({ filter }) => filter.id === id);
    return member?.filter ?? deps.base().find((filter) => filter.id === id);
  }

  function checkVersion(id: string, version: string): void {
    const known = [...deps.base(), ...[...groups.values()].flatMap(({ members }) => members.map((m) => m.filter))];
    if (!known.some((filter) => filter.id === id && filter.version === version)) return;
    throw filterRefused(id, 'version', `${version} is loaded already; a new source needs a new version`);
  }

  function servingWith(base: readonly LoadedFilter[], exchanged: readonly LoadedFilter[] = []): LoadedFilter[] {
    const serving = new Map(base.map((filter) => [filter.id, filter]));
    for (const { stage, members } of inOrder()) {
      if (stage === 'active') for (const { filter } of members) serving.set(filter.id, filter);
    }
    for (const filter of exchanged) serving.set(filter.id, filter);
    return [...serving.values()];
  }

  /** The set that would serve with the new versions in place must have an order, and all keys that it requires. */
  function checkSet(members: readonly GroupMember[]): void {
    const filters = servingWith(
      deps.base(),
      members.map(({ filter }) => filter),
    );
    const id = members[0]?.filter.id ?? '';
    const [orderFault] = orderFaults(filters);
    if (orderFault !== undefined) throw filterRefused(id, 'order', orderFault);
    const disabled = deps.disabled();
    const [keyFault] = newKeyFaults({ filters: servingWith(deps.base()), disabled }, { filters, disabled });
    if (keyFault !== undefined) throw filterRefused(id, 'keys', keyFault);
  }

  function get(id: string): FilterGroup {
    const group = groups.get(id);
    if (group !== undefined) return group;
    if (ended.has(id)) throw filterRefused(id, 'stage', 'the group has ended; stage its sources again');
    throw groupUnknown(id);
  }

  async function stageAll(sources: readonly FilterSource[]): Promise<GroupMember[]> {
    const members: GroupMember[] = [];
    try {
      for (const source of sources) {
        if (members.some(({ given }) => given.id === source.id)) {
          throw filterRefused(source.id, 'shape', 'is in the group twice');
        }
        const config = source.config ?? activeFilter(source.id)?.rawConfig ?? options.config[source.id];
        const given = config === undefined ? source : { ...source, config };
        members.push({ given, filter: await stageFilter(given, { ...options, checkVersion }) });
      }
      checkSet(members);
      return members;
    } catch (error) {
      await Promise.all(members.map(({ filter }) => filter.close()));
      throw error;
    }
  }

  function add(group: FilterGroup): FilterGroup {
    for (const { filter } of group.members) holdFilter(filter);
    groups.set(group.id, group);
    return group;
  }

  function membersOf(group: FilterGroup): TrialMember[] {
    return group.members.map(({ filter }) => ({ candidate: filter, active: activeFilter(filter.id) }));
  }

  function checkTrial(group: FilterGroup, stage: 'shadow' | 'canary'): void {
    for (const { candidate, active } of membersOf(group)) {
      const { id } = candidate;
      const other = [...groups.values()].find(
        ({ id: otherId, trial }) => otherId !== group.id && trial?.members.some((m) => m.candidate.id === id),
      );
      if (other !== undefined) throw filterRefused(id, 'stage', `group ${other.id} has a version of it on trial`);
      if (stage === 'canary') continue;
      if (active === undefined) throw filterRefused(id, 'stage', 'has no active version to run beside: take CANARY');
      if (active.type !== candidate.type) throw filterRefused(id, 'stage', 'has another type now: take CANARY');
    }
  }

  function trialOf(group: FilterGroup): Trial | undefined {
    const { id, stage, share, principals } = group;
    const members = membersOf(group);
    if (stage === 'shadow') return createShadow(id, members, { share, principals });
    if (stage !== 'canary') return undefined;
    return createCanary({ group: id, members, share, principals, limits, onWorse: (why) => deps.worse(id, why) });
  }

  /** A trial is against the version that serves: when that has changed it begins again. */
  function refreshTrials(): void {
    for (const group of groups.values()) {
      const { trial } = group;
      if (trial === undefined) continue;
      const now = membersOf(group);
      const isSame = now.every(({ candidate, active }, index) => {
        const member = trial.members[index];
        return member?.active === active && member?.candidate === candidate;
      });
      if (isSame) continue;
      const isLost = group.stage === 'shadow' && now.some(({ active, candidate }) => active?.type !== candidate.type);
      const next: FilterGroup = isLost
        ? { ...group, stage: 'staged', explanation: 'what it ran beside is gone' }
        : group;
      groups.set(group.id, { ...next, trial: trialOf(next) });
    }
  }

  async function end(group: FilterGroup, stage: EndedStage, why: string): Promise<void> {
    await store.removeGroup(group.id);
    groups.delete(group.id);
    ended.add(group.id);
    const [oldest] = ended;
    if (ended.size > maxEnded && oldest !== undefined) ended.delete(oldest);
    deps.ended(group, stage, why);
    deps.swap();
    // Calls in flight hold their set: the last one closes the versions.
    void Promise.all(group.members.map(({ filter }) => releaseFilter(filter)));
  }

  /** Ends the oldest of those groups that newer ones cover. */
  async function trimCovered(): Promise<void> {
    const covered = inOrder().filter(
      (group) => group.stage === 'active' && group.members.every(({ filter }) => activeFor(filter.id) !== group),
    );
    for (const group of covered.slice(0, Math.max(0, covered.length - maxCovered))) {
      await end(group, 'closed', 'newer versions cover it');
    }
  }

  async function settle(group: FilterGroup, explanation: string, promotion: Promotion): Promise<FilterGroup> {
    const order = promotion.stage === 'active' ? nextOrder() : group.order;
    const moved: FilterGroup = { ...group, ...promotion, order, explanation, trial: undefined };
    if (promotion.stage !== 'active') checkTrial(group, promotion.stage);
    // First on disk: what was promised to the operator must be there after a crash.
    await store.saveGroup(toStored(moved));
    const tried = { ...moved, trial: trialOf(moved) };
    groups.set(group.id, tried);
    deps.swap();
    if (promotion.stage === 'active') await trimCovered();
    return tried;
  }

  async function restoreGroup(stored: StoredGroup): Promise<void> {
    const { id, stage, share, principals, order } = stored;
    const members = await stageAll(stored.sources);
    const group: FilterGroup = {
      ...{ id, stage, share, principals, order, members },
      trial: undefined,
      explanation: 'restored at the start of the server',
    };
    add(group);
    if (stage === 'shadow' || stage === 'canary') {
      try {
        checkTrial(group, stage);
        groups.set(id, { ...group, trial: trialOf(group) });
      } catch (error) {
        groups.set(id, { ...group, stage: 'staged', explanation: messageOf(error) });
      }
    }
  }

  return {
    get list() {
      return inOrder();
    },
    activeFor,
    servingWith,
    compose: () => {
      refreshTrials();
      const ids = new Set(deps.base().map(({ id }) => id));
      for (const { stage, members } of groups.values()) {
        if (stage === 'active') for (const { filter } of members) ids.add(filter.id);
      }
      const actives = [...ids].flatMap((id) => activeFilter(id) ?? []);
      return { actives, trials: [...groups.values()].flatMap(({ trial }) => trial ?? []) };
    },
    stage: async (sources) => {
      const waiting = [...groups.values()].filter(({ stage }) => stage !== 'active');
      const first = sources[0]?.id ?? '';
      if (waiting.length >= maxWaiting) {
        throw filterRefused(first, 'stage', `${maxWaiting} groups wait already: promote them or roll them back`);
      }
      const members = await stageAll(sources);
      const group: FilterGroup = {
        ...{ id: newId(clock.now()), stage: 'staged', share: 0, principals: [], order: nextOrder(), members },
        trial: undefined,
        explanation: 'staged: every check passed',
      };
      await store.saveGroup(toStored(group));
      return add(group);
    },
    promote: async (id, promotion) => {
      const group = get(id);
      const { stage, share, principals } = promotion;
      const isSame =
        group.stage === stage &&
        (stage === 'active' || (group.share === share && group.principals.join('\n') === principals.join('\n')));
      if (isSame) return group;
      if (group.stage === 'active') throw filterRefused(id, 'stage', 'the group is active; roll it back first');
      // The set may be another one than when it was staged.
      checkSet(group.members);
      const before = group.trial?.explain();
      const words = stage === 'active' ? 'promoted' : `on ${(100 * share).toPrecision(3)} % of the calls`;
      log.info('filters promoted', { group: id, stage, share });
      return settle(group, before === undefined ? words : `${words}; before: ${before}`, promotion);
    },
    rollback: async (id, why) => {
      if (ended.has(id)) return;
      const group = get(id);
      log.warn('filters rolled back', { group: id, why });
      await end(group, 'rolled_back', why);
    },
    reconfigure: async (group, filter, config) => {
      const members = group.members.map((member) =>
        member.filter.id === filter.id ? { given: { ...member.given, config }, filter } : member,
      );
      const next = { ...group, members };
      await store.saveGroup(toStored(next));
      const old = group.members.find((member) => member.filter.id === filter.id);
      holdFilter(filter);
      groups.set(group.id, next);
      deps.swap();
      if (old !== undefined) void releaseFilter(old.filter);
    },
    restore: async () => {
      const refused: { group: StoredGroup; why: string }[] = [];
      for (const group of await store.readGroups()) {
        try {
          await restoreGroup(group);
        } catch (error) {
          const why = error instanceof AppError ? error.message : messageOf(error);
          refused.push({ group, why });
          await store.setAside(group.id, why);
        }
      }
      return refused;
    },
    close: async () => {
      const held = [...groups.values()].flatMap(({ members }) => members);
      groups.clear();
      await Promise.all(held.map(({ filter }) => releaseFilter(filter)));
    },
  };
}
