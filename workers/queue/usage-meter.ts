import { readdir, readFile } from 'node:fs/promises';
import type { Clock } from '../../server/core/clock.ts';

/** What an attempt has used. */
export interface Usage {
  /** Processor time of this process and its child processes, in ms; split evenly among attempts that ran at once. */
  readonly cpuMs: number;
  readonly wallMs: number;
  /** Most memory of this process and its child processes while it ran, in bytes. */
  readonly peakRssBytes: number;
}

/** Measures what attempts use. */
export interface UsageMeter {
  /** Begins to measure an attempt; the returned function ends it. */
  begin(): () => Promise<Usage>;
}

/** Processor time so far and memory now of a process and its living descendants. */
export interface TreeSample {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

const intervalMs = 1_000;
const minLookMs = 250;
/** Clock ticks of /proc are hundredths of a second, its pages 4 KiB, on every Linux that Node runs on. */
const tickMs = 10;
const pageBytes = 4_096;

interface Measured {
  cpuMs: number;
  peakRssBytes: number;
}

/** Samples the process tree each second while attempts run. */
export function createUsageMeter(clock: Clock, sample: TreeSampler = createTreeSampler(clock)): UsageMeter {
  const running = new Set<Measured>();
  let last: TreeSample | undefined;
  let sampling: Promise<void> = Promise.resolve();
  let cancelTimer: (() => void) | undefined;

  /** Splits what was used since the sample before among `sharers`. */
  const take = (sharers: readonly Measured[], isFresh = false): Promise<void> => {
    // Begun at once: what is used while the sample before still reads is not of that one.
    const sampled = sample(isFresh);
    sampling = sampling.then(async () => {
      const now = await sampled;
      // Less than before when a descendant ended that nobody waited for.
      const used = last === undefined ? 0 : Math.max(0, now.cpuMs - last.cpuMs);
      last = now;
      for (const measured of sharers) {
        measured.cpuMs += used / sharers.length;
        measured.peakRssBytes = Math.max(measured.peakRssBytes, now.rssBytes);
      }
    });
    return sampling;
  };
  const arm = () => {
    cancelTimer ??= clock.schedule(intervalMs, () => {
      cancelTimer = undefined;
      if (running.size === 0) return;
      void take([...running]).finally(arm);
    });
  };

  return {
    begin: () => {
      const startedAt = clock.monotonic();
      const measured: Measured = { cpuMs: 0, peakRssBytes: 0 };
      // What was used until now belongs to those that ran until now; without any, counting begins here.
      const before = [...running];
      if (before.length === 0) last = undefined;
      const begun = take(before.length === 0 ? [measured] : before);
      running.add(measured);
      arm();
      return async () => {
        await begun;
        await take([...running], clock.monotonic() - startedAt > minLookMs);
        running.delete(measured);
        if (running.size === 0) {
          cancelTimer?.();
          cancelTimer = undefined;
        }
        return {
          cpuMs: Math.round(measured.cpuMs),
          wallMs: Math.round(clock.monotonic() - startedAt),
          peakRssBytes: measured.peakRssBytes,
        };
      };
    },
  };
}

interface ProcessStat {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** Gives what was used until it is called; `isFresh` asks for a look at the descendants, however lately there was one. */
type TreeSampler = (isFresh: boolean) => Promise<TreeSample>;

/**
 * Samples this process and its descendants from /proc; without one (not Linux) this process alone. A look at them
 * is repeated within a quarter of a second only when that is asked for, so that short jobs do not pay for it.
 */
function createTreeSampler(clock: Clock): TreeSampler {
  let looking: Promise<TreeSample> | undefined;
  let lookedMs = Number.NEGATIVE_INFINITY;
  return async (isFresh) => {
    const { user, system } = process.cpuUsage();
    if (looking === undefined || isFresh || clock.monotonic() - lookedMs > minLookMs) {
      lookedMs = clock.monotonic();
      looking = lookAtDescendants();
    }
    const descendants = await looking;
    return {
      cpuMs: (user + system) / 1000 + descendants.cpuMs,
      rssBytes: process.memoryUsage.rss() + descendants.rssBytes,
    };
  };
}

/** Walks down from this process: a machine has many others, and a look at each costs more than most jobs. */
async function lookAtDescendants(): Promise<TreeSample> {
  let cpuMs = 0;
  let rssBytes = 0;
  for (const waiting = [process.pid]; waiting.length > 0; ) {
    const pid = waiting.pop() ?? 0;
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const stat = parseStat(text, pid === process.pid);
    cpuMs += stat.cpuMs;
    rssBytes += pid === process.pid ? 0 : stat.rssBytes;
    waiting.push(...(await childrenOf(pid)));
  }
  return { cpuMs, rssBytes };
}

/** Children are listed by the thread that started them. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
}

/** Fields after the name, which may hold anything: 14-17 times (own, waited-for children's), 24 pages. */
function parseStat(text: string, isSelf: boolean): ProcessStat {
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const at = (field: number) => fields[field - 3] ?? 0;
  // Our own time is known better; of ourselves only the children's counts.
  const ticks = at(16) + at(17) + (isSelf ? 0 : at(14) + at(15));
  return { cpuMs: ticks * tickMs, rssBytes: at(24) * pageBytes };
}
