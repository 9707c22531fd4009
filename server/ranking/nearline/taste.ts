import type { Title } from '../data/title.ts';
import { mostContent } from '../maths/folder.ts';
import type { ServingModel } from '../models/serving-model.ts';
import type { ProfileEvent } from './play-event.ts';

/** What a profile likes and knows, as indexes of one model. */
export interface Taste {
  /**
   * Liked titles, the most recently liked last, each once. Titles that the model does not know have the indexes from
   * its title count on: those of `content` and `contentTitles`, one after the other.
   */
  readonly positives: readonly number[];
  /** Factors from genres of the liked titles that the model does not know; of more than 256 the last liked. */
  readonly content: readonly Float32Array[];
  /** The same titles, by id and genres: no name is known of them. */
  readonly contentTitles: readonly Title[];
  /** 1 for every title of the model that was played or rated. */
  readonly seen: Uint8Array;
  /** Ratings and events taken in: not those of titles that neither the model nor its genres know. */
  readonly eventsApplied: number;
}

interface Content {
  readonly title: Title;
  readonly factors: Float32Array;
}

/** Ratings from training and events since then in one; the newest sign about a title counts. */
export function tasteOf(model: ServingModel, profile: string, events: readonly ProfileEvent[]): Taste {
  const history = model.history(profile);
  const seen = new Uint8Array(model.ranker.titles.ids.length);
  /** By index, or by id where the model has none. */
  const liked = new Map<number | string, Content | undefined>();
  for (const { title, positive } of history) {
    seen[title] = 1;
    if (positive) liked.set(title, undefined);
  }
  const contentOf = createContentLookup(model);
  let eventsApplied = history.length;
  for (const event of events) {
    const title = model.ranker.titles.indexOf(event.title);
    const content = title === undefined ? contentOf(event) : undefined;
    if (title === undefined && content === undefined) continue;
    if (title !== undefined) seen[title] = 1;
    const key = title ?? event.title;
    // Deleted first, so that a title liked again moves to the end.
    const wasLiked = liked.delete(key);
    if (event.positive) liked.set(key, content);
    // Disliking an unknown title that was not liked before says nothing.
    if (title !== undefined || event.positive || wasLiked) eventsApplied += 1;
  }
  return { ...split(liked, seen.length), seen, eventsApplied };
}

/** Content of unknown titles; an event without genres has those that an earlier one named. */
function createContentLookup(model: ServingModel): (event: ProfileEvent) => Content | undefined {
  const genresById = new Map<string, readonly string[]>();
  return ({ title: id, genres = genresById.get(id) ?? [] }) => {
    genresById.set(id, genres);
    const factors = model.contentFactors(genres);
    return factors && { title: { id, name: id, genres }, factors };
  };
}

/** Gives the liked titles without an index of the model the next free ones. */
function split(liked: ReadonlyMap<number | string, Content | undefined>, titleCount: number) {
  const contents = [...liked.values()].filter((content) => content !== undefined).slice(-mostContent);
  const indexes = new Map(contents.map((content, at) => [content, titleCount + at]));
  return {
    positives: Array.from(liked, ([key, content]) =>
      content === undefined ? Number(key) : indexes.get(content),
    ).filter((index) => index !== undefined),
    content: contents.map(({ factors }) => factors),
    contentTitles: contents.map(({ title }) => title),
  };
}
