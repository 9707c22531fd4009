import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { RankingCounters } from '../counters.ts';
import type { PopularList } from '../datasets/dataset-store.ts';
import type { ServingModel } from '../models/serving-model.ts';
import type { Nearline } from '../nearline/nearline.ts';
import { type Taste, tasteOf } from '../nearline/taste.ts';
import { fillRows } from './fill-rows.ts';
import type { Page, PageRequest, Tier } from './page.ts';
import { pageWithoutModel } from './page-without-model.ts';
import { personalScores } from './personal-scores.ts';
import { planColdRows, planRows, scoredSource } from './plan-rows.ts';
import { type RowPlan, type RowSource, rankedSource } from './row-source.ts';
import { late, withinBudget } from './within-budget.ts';

/**
 * Scores all titles for a taste; undefined without a positive sign. The default computes in this thread; another one
 * may take its time: the ladder does not wait for it longer than the budget.
 */
export type Scorer = (
  model: ServingModel,
  taste: Taste,
  signal: AbortSignal,
) => Float32Array | undefined | Promise<Float32Array | undefined>;

/** What the ladder climbs on. */
export interface RecommenderDeps {
  readonly currentModel: () => ServingModel | undefined;
  readonly nearline: Pick<Nearline, 'profiles' | 'trending'>;
  /** What is popular while no model serves. */
  readonly popular: () => PopularList | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: RankingCounters;
  /** Default `personalScores`. */
  readonly scorer?: Scorer;
}

/** Part of the budget that is kept for the lower rungs: they need no more than a list and some array reads. */
const reserveShare = 0.2;
const mostReserveMs = 10;

/** One rung's outcome: its page without the rungs skipped, or why it has none. */
type Rung = { readonly page: Omit<Page, 'skipped'> } | { readonly reason: string };

/**
 * Recommends within the budget by a ladder: scored now → list made after the last event → list made with the model →
 * popularity. A rung that is late, fails or has nothing gives way to the next; only the last one can fail, with
 * NO_RATINGS (UNAVAILABLE), when nothing is known at all.
 */
export function createRecommender(deps: RecommenderDeps): (request: PageRequest) => Promise<Page> {
  const { clock, log, counters } = deps;
  return async (request) => {
    const end = clock.monotonic() + request.budgetMs;
    const model = deps.currentModel();
    if (model === undefined) {
      counters.add('answered_popularity');
      return pageWithoutModel(request, deps.popular(), deps.nearline, clock);
    }
    const ladder = { deps, model, request, end };
    const skipped: string[] = [];
    for (const [tier, climb] of rungs) {
      let rung: Rung;
      try {
        rung = await climb(ladder);
      } catch (error) {
        if (tier === 'popularity') throw error;
        log.warn('ranking rung failed', { tier, profile: request.profile, error: messageOf(error) });
        counters.add('rung_failed', { tier });
        rung = { reason: 'FAILED' };
      }
      if ('page' in rung) {
        counters.add(`answered_${tier}`);
        return { ...rung.page, skipped };
      }
      if (rung.reason === 'DEADLINE') counters.add('deadline_missed', { tier });
      skipped.push(`${tier.toUpperCase()}: ${rung.reason}`);
    }
    throw new Error('the popularity rung always answers');
  };
}

interface Ladder {
  readonly deps: RecommenderDeps;
  readonly model: ServingModel;
  readonly request: PageRequest;
  /** Monotonic ms at which the budget ends. */
  readonly end: number;
}

const rungs: readonly (readonly [Tier, (ladder: Ladder) => Rung | Promise<Rung>])[] = [
  ['online', climbOnline],
  ['nearline', climbNearline],
  ['offline', climbOffline],
  ['popularity', climbPopularity],
];

async function climbOnline(ladder: Ladder): Promise<Rung> {
  const { deps, model, request, end } = ladder;
  const { clock, nearline, scorer = personalScores } = deps;
  const reserveMs = Math.min(mostReserveMs, request.budgetMs * reserveShare);
  const score = async (signal: AbortSignal): Promise<Rung> => {
    const { state } = await nearline.profiles.read(request.profile);
    signal.throwIfAborted();
    const taste = tasteOf(model, request.profile, state.events);
    if (taste.positives.length === 0) return { reason: 'NO_EVENTS' };
    const scores = await scorer(model, taste, signal);
    signal.throwIfAborted();
    if (scores === undefined) return { reason: 'NO_EVENTS' };
    return fill(ladder, 'online', taste, planRows(model, nearline.trending, scoredSource(scores), taste), 0);
  };
  const remainingMs = end - reserveMs - clock.monotonic();
  const result = await withinBudget(clock, remainingMs, score, (error) =>
    deps.log.debug('late ranking ended', { profile: request.profile, error: messageOf(error) }),
  );
  return result === late ? { reason: 'DEADLINE' } : result;
}

function climbNearline(ladder: Ladder): Rung {
  const { deps, model, request } = ladder;
  const list = deps.nearline.profiles.recall(request.profile)?.list;
  if (list === undefined) return { reason: 'NO_LIST' };
  const known = list.titles.flatMap(([id, score]) => {
    const title = model.ranker.titles.indexOf(id);
    return title === undefined ? [] : [{ title, score }];
  });
  const source = listSource(known);
  const rung = fillFromList(ladder, 'nearline', source, deps.clock.now() - list.computedMs);
  if (!('page' in rung)) return rung;
  const { modelId, publishVersion, eventsApplied } = list;
  return { page: { ...rung.page, modelId, publishVersion, eventsApplied } };
}

function climbOffline(ladder: Ladder): Rung {
  const { deps, model, request } = ladder;
  const list = model.list(request.profile);
  if (list.length === 0) return { reason: 'NO_LIST' };
  const rung = fillFromList(ladder, 'offline', listSource(list), deps.clock.now() - model.createdMs);
  const eventsApplied = model.history(request.profile).length;
  return 'page' in rung ? { page: { ...rung.page, eventsApplied } } : rung;
}

function climbPopularity(ladder: Ladder): Rung {
  const { deps, model } = ladder;
  const ageMs = deps.clock.now() - model.createdMs;
  const rung = fill(ladder, 'popularity', recalledTaste(ladder), planColdRows(model, deps.nearline.trending), ageMs);
  return 'page' in rung ? { page: { ...rung.page, eventsApplied: 0 } } : rung;
}

/** A stored list as the personal source; when nothing of it is left to show, the next rung answers. */
function fillFromList(ladder: Ladder, tier: Tier, source: RowSource, ageMs: number): Rung {
  const taste = recalledTaste(ladder);
  const rung = fill(ladder, tier, taste, planRows(ladder.model, ladder.deps.nearline.trending, source, taste), ageMs);
  return 'page' in rung && rung.page.rows[0]?.id !== 'top-picks' ? { reason: 'EXHAUSTED' } : rung;
}

/** What is known of the profile without waiting for anything. */
function recalledTaste({ deps, model, request }: Ladder): Taste {
  return tasteOf(model, request.profile, deps.nearline.profiles.recall(request.profile)?.events ?? []);
}

function listSource(list: readonly { readonly title: number; readonly score: number }[]): RowSource {
  return rankedSource(
    list.map(({ title }) => title),
    (place) => list[place]?.score,
  );
}

function fill(ladder: Ladder, tier: Tier, taste: Taste, plans: Iterable<RowPlan>, ageMs: number): Rung {
  const { deps, model, request, end } = ladder;
  const rows = fillRows(plans, {
    model,
    // Stored scores may be those of an older model: only fresh ones can be explained exactly.
    request: tier === 'online' ? request : { ...request, explain: false },
    taste,
    isLate: () => deps.clock.monotonic() >= end,
  });
  const { id: modelId, publishVersion } = model;
  return {
    page: {
      rows,
      tier,
      modelId: tier === 'popularity' ? '' : modelId,
      publishVersion: tier === 'popularity' ? 0 : publishVersion,
      ageMs: Math.max(0, ageMs),
      eventsApplied: taste.eventsApplied,
    },
  };
}
