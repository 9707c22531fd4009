import { type Counters, createCounters } from '../core/counters.ts';

const table = {
  answered_online: 'Recommend answers scored for the call',
  answered_nearline: 'Recommend answers from the list made after the last event',
  answered_offline: 'Recommend answers from the precomputed list',
  answered_popularity: 'Recommend answers from popularity',
  imports_refused: 'Imports of data sets refused because too many were in progress',
  imports_stalled: 'Imports of data sets ended because their caller sent nothing for too long',
  deadline_missed: 'Rungs that were not done within the budget',
  rung_failed: 'Rungs that failed',
  events_applied: 'Play events folded in',
  events_duplicate: 'Play events that were seen before',
  events_refused: 'Play events refused because too many were under way',
  events_forgotten: 'Old events dropped from profiles at their bound',
  profiles_evicted: 'Profiles dropped from memory at its bound',
  content_vectors_evicted: 'Content vectors of genre sets dropped at their bound',
  trending_evicted: 'Titles dropped from trending at its bound',
} as const;

/** Counters of the ranking area by name. */
export type RankingCounters = Counters<keyof typeof table>;

/** Counts of the ranking area, exported as `ranking.<name>`. */
export function createRankingCounters(): RankingCounters {
  return createCounters('ranking', table);
}
