import type { Clock } from '../../core/clock.ts';
import type { BatchOperation, RecordsStore } from '../../stores/records/records-store.ts';
import type { RankingCounters } from '../counters.ts';
import { decodeJson, encodeJson } from '../data/json.ts';

/** Plays per title with decay: what is watched now, whatever the models know. */
export interface Trending {
  /** Counts one play now and gives the write that makes it durable. */
  count(title: string): BatchOperation;
  /** Title ids with decayed counts, best first, at most 500; at most a few seconds old. */
  top(): readonly { readonly title: string; readonly score: number }[];
}

/** What trending is built on, and its bounds. */
export interface TrendingDeps {
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly counters: RankingCounters;
  /** A play counts half after this time, in ms; default three days. */
  readonly halfLifeMs?: number;
  /** Titles counted; over it the tenth with the lowest counts goes. Default 20,000. */
  readonly maxTitles?: number;
}

interface Count {
  readonly score: number;
  readonly atMs: number;
}

const partition = 'ranking/trending';
const topLength = 500;
const topFreshMs = 2_000;
/** After so many half-lives a count is below a millionth of a play: the record expires. */
const forgottenAfter = 20;

/** Opens the counts of earlier runs. Kept incrementally: S <- S 2^(-dt / half-life) + 1. */
export async function openTrending(deps: TrendingDeps): Promise<Trending> {
  const { records, clock, counters, halfLifeMs = 3 * 86_400_000, maxTitles = 20_000 } = deps;
  const counts = new Map<string, Count>();
  let top: { title: string; score: number }[] = [];
  let topUntil = Number.NEGATIVE_INFINITY;

  const valueNow = ({ score, atMs }: Count, now: number) => score * 2 ** (Math.min(0, atMs - now) / halfLifeMs);
  const ranked = () => {
    const now = clock.now();
    const all = Array.from(counts, ([title, count]) => ({ title, score: valueNow(count, now) }));
    return all.sort((a, b) => b.score - a.score || (a.title < b.title ? -1 : 1));
  };
  const evict = () => {
    for (const { title } of ranked().slice(Math.floor(maxTitles * 0.9))) {
      counts.delete(title);
      counters.add('trending_evicted');
    }
  };

  for (let from = ''; ; ) {
    const rows = await records.scan(partition, { limit: 1_000, ...(from === '' ? {} : { from }) });
    for (const row of rows) counts.set(row.key, decodeJson<Count>(row.value));
    const last = rows.at(-1);
    if (rows.length < 1_000 || last === undefined || counts.size > maxTitles) break;
    from = `${last.key}\u0000`;
  }
  if (counts.size > maxTitles) evict();

  return {
    count: (title) => {
      const now = Math.floor(clock.now());
      const before = counts.get(title);
      const count = { score: 1 + (before === undefined ? 0 : valueNow(before, now)), atMs: now };
      counts.set(title, count);
      if (counts.size > maxTitles) evict();
      const ttlMs = halfLifeMs * forgottenAfter;
      return { kind: 'put', partition, key: title, value: encodeJson(count), ttlMs };
    },
    top: () => {
      if (clock.monotonic() >= topUntil) {
        top = ranked().slice(0, topLength);
        topUntil = clock.monotonic() + topFreshMs;
      }
      return top;
    },
  };
}
