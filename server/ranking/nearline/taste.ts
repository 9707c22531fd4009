import type { ServingModel } from '../models/serving-model.ts';
import type { ProfileEvent } from './play-event.ts';

/** What a profile likes and knows, as indexes of one model. */
export interface Taste {
  /** Liked titles, the most recently liked last, each once. */
  readonly positives: readonly number[];
  /** 1 for every title that was played or rated. */
  readonly seen: Uint8Array;
  /** Ratings and events taken in. */
  readonly eventsApplied: number;
}

/** Ratings from training and events since then in one; the newest sign about a title counts. */
export function tasteOf(model: ServingModel, profile: string, events: readonly ProfileEvent[]): Taste {
  const history = model.history(profile);
  const seen = new Uint8Array(model.ranker.titles.ids.length);
  const liked = new Map<number, boolean>();
  for (const { title, positive } of history) {
    seen[title] = 1;
    if (positive) liked.set(title, true);
  }
  for (const event of events) {
    const title = model.ranker.titles.indexOf(event.title);
    if (title === undefined) continue;
    seen[title] = 1;
    // Deleted first, so that a title liked again moves to the end.
    liked.delete(title);
    if (event.positive) liked.set(title, true);
  }
  return { positives: [...liked.keys()], seen, eventsApplied: history.length + events.length };
}
