import type { Call, CallOutcome } from '../../../server/core/call.ts';
import { Code } from '../../../server/core/codes.ts';
import type { FilterCounts, LoadedFilter } from '../load/loaded-filter.ts';
import { createRunTimes, formatNs, type RunTimes } from '../load/run-times.ts';
import { type Comparison, compareErrors, compareLatency, type TrialLimits } from './compare-versions.ts';

/** Which calls a group of new versions gets. */
export interface TrialShare {
  /** Share of the calls, above 0 and up to 1, by a hash of the call id: all filters of a group get the same calls. */
  readonly share: number;
  /** Only calls of these principals; empty = all. */
  readonly principals: readonly string[];
}

/** A new version and the one it stands beside, which a new filter does not have. */
export interface TrialMember {
  readonly candidate: LoadedFilter;
  readonly active: LoadedFilter | undefined;
}

/** New versions of a group under real calls. */
export interface Trial {
  readonly group: string;
  readonly stage: 'shadow' | 'canary';
  readonly members: readonly TrialMember[];
  /** Whether the group gets this call; decided once per call, when its first filter is reached. */
  takes(call: Call): boolean;
  /** Books how the call ended. */
  ended(call: Call, outcome: CallOutcome): void;
  /** Books what both versions did in one call of a shadow trial. */
  compared(pair: ShadowPair): void;
  /** The comparison so far, in numbers. */
  explain(): string;
}

/** What the version on trial and the active one did in the same call. */
export interface ShadowPair {
  readonly id: string;
  /** `passed`, `answered`, `replaced`, `refused REASON`, `failed` … */
  readonly candidate: string;
  readonly active: string;
  readonly candidateNs: number;
  readonly activeNs: number;
}

/** FNV-1a, 32 bits, as a share of all values. */
function hashShare(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // FNV's high bits are poor for short texts: the finaliser of murmur3 mixes them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

function createGate(group: string, { share, principals }: TrialShare) {
  const key = Symbol(`trial ${group}`);
  const allowed = new Set(principals);
  return {
    takes: (call: Call): boolean => {
      const decided = call.attributes.get(key);
      if (decided !== undefined) return decided as boolean;
      const isAllowed = allowed.size === 0 || allowed.has(call.principal?.id ?? '');
      const takes = isAllowed && hashShare(`${group}/${call.id}`) < share;
      call.attributes.set(key, takes);
      return takes;
    },
    decided: (call: Call) => call.attributes.get(key) as boolean | undefined,
  };
}

function faultsOf({ ran, answered, refused, failed, timedOut, overloaded }: FilterCounts) {
  const errors = failed + timedOut + overloaded;
  return { calls: ran + answered + refused + errors, errors };
}

interface Baseline {
  readonly faults: { readonly calls: number; readonly errors: number };
  readonly times: RunTimes;
}

function baselineOf({ counts, times }: LoadedFilter): Baseline {
  return { faults: faultsOf(counts), times: times.copy() };
}

/** What the filter did since `start`. */
function sinceStart(filter: LoadedFilter, start: Baseline) {
  const now = faultsOf(filter.counts);
  const times = filter.times.since(start.times);
  return {
    faults: { calls: now.calls - start.faults.calls, errors: now.errors - start.faults.errors },
    time: { runs: times.count, medianNs: times.quantile(0.5) },
  };
}

/** A judgement is made after every so many calls of the new versions. */
const judgeEvery = 25;

interface CanaryOptions extends TrialShare {
  readonly group: string;
  readonly members: readonly TrialMember[];
  readonly limits: TrialLimits;
  /** Called once, when the new versions are worse; `why` has the numbers. */
  readonly onWorse: (why: string) => void;
}

/** New versions that take a share of the calls; the others take the active ones and are what is compared with. */
export function createCanary({ group, members, limits, onWorse, ...share }: CanaryOptions): Trial {
  const gate = createGate(group, share);
  const starts = new Map<LoadedFilter, Baseline>();
  for (const { candidate, active } of members) {
    starts.set(candidate, baselineOf(candidate));
    if (active !== undefined) starts.set(active, baselineOf(active));
  }
  const candidateCalls = { calls: 0, errors: 0 };
  const baselineCalls = { calls: 0, errors: 0 };
  let isOver = false;

  function comparisons(): Comparison[] {
    const list = [compareErrors('failed calls', candidateCalls, baselineCalls, limits)];
    for (const { candidate, active } of members) {
      const mineStart = starts.get(candidate);
      const theirStart = active && starts.get(active);
      if (active === undefined || mineStart === undefined || theirStart === undefined) continue;
      const mine = sinceStart(candidate, mineStart);
      const theirs = sinceStart(active, theirStart);
      const name = `${candidate.id} ${candidate.version} against ${active.version}`;
      const faults = compareErrors(`${name}, faults of the filter`, mine.faults, theirs.faults, limits);
      const latency = compareLatency(mine.time, theirs.time, limits);
      list.push(faults, { isWorse: latency.isWorse, text: `${name}, ${latency.text}` });
    }
    return list;
  }

  return {
    ...{ group, stage: 'canary', members, takes: gate.takes },
    compared: () => {},
    explain: () =>
      comparisons()
        .map(({ text }) => text)
        .join('; '),
    ended: (call, { code }) => {
      const isTaken = gate.decided(call);
      // A caller who leaves says nothing about the filter.
      if (isTaken === undefined || code === Code.CANCELLED) return;
      const side = isTaken ? candidateCalls : baselineCalls;
      side.calls++;
      if (code !== Code.OK) side.errors++;
      if (isOver || !isTaken || side.calls < limits.minCalls || side.calls % judgeEvery !== 0) return;
      const worse = comparisons().filter(({ isWorse }) => isWorse);
      if (worse.length === 0) return;
      isOver = true;
      onWorse(worse.map(({ text }) => text).join('; '));
    },
  };
}

const maxDifferences = 20;

/** New versions that run beside the active ones: what they do is compared and not used. */
export function createShadow(group: string, members: readonly TrialMember[], share: TrialShare): Trial {
  const gate = createGate(group, share);
  const differences = new Map<string, number>();
  const candidateTimes = createRunTimes();
  const activeTimes = createRunTimes();
  let same = 0;
  let compared = 0;
  return {
    ...{ group, stage: 'shadow', members, takes: gate.takes },
    ended: () => {},
    compared: (pair) => {
      compared++;
      candidateTimes.add(pair.candidateNs);
      activeTimes.add(pair.activeNs);
      if (pair.candidate === pair.active) {
        same++;
        return;
      }
      const text = `${pair.id} ${pair.candidate} where the active one ${pair.active}`;
      if (differences.has(text) || differences.size < maxDifferences) {
        differences.set(text, (differences.get(text) ?? 0) + 1);
      }
    },
    explain: () => {
      const parts = [`compared ${compared}, same ${same}, different ${compared - same}`];
      for (const [text, count] of [...differences].toSorted((a, b) => b[1] - a[1])) parts.push(`${count} x ${text}`);
      const mine = candidateTimes.quantile(0.5);
      const theirs = activeTimes.quantile(0.5);
      if (mine !== undefined && theirs !== undefined) {
        parts.push(`median time: ${formatNs(mine)} against ${formatNs(theirs)}`);
      }
      return parts.join('; ');
    },
  };
}
