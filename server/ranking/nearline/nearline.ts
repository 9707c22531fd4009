import type { Clock } from '../../core/clock.ts';
import { createTurns } from '../../core/turns.ts';
import type { BatchOperation, RecordsStore } from '../../stores/records/records-store.ts';
import type { RankingCounters } from '../counters.ts';
import { nearlineOverloaded, profileConflict } from '../errors.ts';
import { topK } from '../maths/top-k.ts';
import type { ServingModel } from '../models/serving-model.ts';
import { personalScores } from '../serving/personal-scores.ts';
import { isConflict } from '../timed-records.ts';
import { bareId, checkPlayEvent, isPositive, type PlayEvent, type ProfileEvent } from './play-event.ts';
import { createProfileStore, type NearlineList, type ProfileStore } from './profile-store.ts';
import { tasteOf } from './taste.ts';
import { openTrending, type Trending } from './trending.ts';

/** The nearline tier: profiles and trending, kept current per event. */
export interface Nearline {
  /**
   * Takes one event in: when it resolves, the event is durable and every later recommendation knows it.
   * INVALID_FIELDS, NEARLINE_OVERLOADED, PROFILE_CONFLICT.
   */
  onPlayEvent(event: PlayEvent): Promise<AppliedEvent>;
  readonly profiles: ProfileStore;
  readonly trending: Trending;
}

/** What became of an event. */
export interface AppliedEvent {
  /** True when the event was seen before: nothing changed. */
  readonly duplicate: boolean;
  /** Events the profile now keeps. */
  readonly events: number;
}

/** What the nearline tier is built on, and its bounds. */
export interface NearlineDeps {
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly counters: RankingCounters;
  readonly currentModel: () => ServingModel | undefined;
  /** Newest events kept of a profile; default 200. */
  readonly maxEvents?: number;
  /** Events under way over all profiles; default 10,000. */
  readonly maxPending?: number;
}

const listLength = 100;
const attempts = 5;

/** Folds events into profiles: milliseconds after the event, no training. */
export async function openNearline(deps: NearlineDeps): Promise<Nearline> {
  const { records, clock, counters, currentModel, maxEvents = 200, maxPending = 10_000 } = deps;
  const profiles = createProfileStore(records, counters);
  const trending = await openTrending({ records, clock, counters });
  const inTurn = createTurns();
  let pending = 0;

  const listFor = (profile: string, events: readonly ProfileEvent[]): NearlineList | undefined => {
    const model = currentModel();
    if (model === undefined) return undefined;
    const taste = tasteOf(model, profile, events);
    const scores = personalScores(model, taste);
    if (scores === undefined) return undefined;
    return {
      modelId: model.id,
      publishVersion: model.publishVersion,
      computedMs: Math.floor(clock.now()),
      eventsApplied: taste.eventsApplied,
      titles: Array.from(
        topK(scores, listLength, (title) => taste.seen[title] === 0),
        (title) => [model.ranker.titles.ids[title] ?? '', scores[title] ?? 0] as const,
      ),
    };
  };

  const apply = async (profile: string, event: ProfileEvent): Promise<AppliedEvent> => {
    let counted: BatchOperation[] | undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const read = await profiles.read(profile);
      const { events } = read.state;
      if (events.some(({ id }) => id === event.id)) {
        counters.add('events_duplicate');
        return { duplicate: true, events: events.length };
      }
      const all = [...events, event].sort((a, b) => a.timeMs - b.timeMs);
      const kept = all.slice(-maxEvents);
      counted ??= event.positive ? [trending.count(event.title)] : [];
      try {
        await profiles.write(profile, { events: kept, list: listFor(profile, kept) }, read, counted);
      } catch (error) {
        if (isConflict(error)) continue;
        throw error;
      }
      counters.add('events_applied');
      if (kept.length < all.length) counters.add('events_forgotten');
      return { duplicate: false, events: kept.length };
    }
    throw profileConflict(profile);
  };

  return {
    profiles,
    trending,
    onPlayEvent: async (event) => {
      checkPlayEvent(event);
      if (pending >= maxPending) {
        counters.add('events_refused');
        throw nearlineOverloaded(maxPending);
      }
      const profile = bareId('profiles', event.profile);
      const { id, timeMs, genres = [] } = event;
      const title = bareId('titles', event.title);
      const kept = { id, title, timeMs, positive: isPositive(event), ...(genres.length > 0 ? { genres } : {}) };
      pending += 1;
      // Events of one profile go one after the other, those of others beside them.
      try {
        return await inTurn(profile, () => apply(profile, kept));
      } finally {
        pending -= 1;
      }
    },
  };
}
