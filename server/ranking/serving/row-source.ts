/** One title picked for a row: an index of the model, with what it was ranked by. */
export interface Pick {
  readonly title: number;
  readonly score: number;
  /** Place in the source's ranking from 1; 0 = unknown. */
  readonly baseRank: number;
}

/** Gives the best `count` titles that are accepted, best first. */
export type RowSource = (count: number, accepts: (title: number) => boolean) => Pick[];

/** Where a row comes from and what it is called. */
export interface RowPlan {
  readonly id: string;
  readonly name: string;
  readonly source: RowSource;
  /** Its titles are explained by the profile's positives. */
  readonly isPersonal: boolean;
  /** For because-you-watched rows: the watched title. */
  readonly becauseOf?: number;
}

/** A source over titles in an order that stands already, best first; `scoreAt` gives the score of a place. */
export function rankedSource(
  titles: ArrayLike<number>,
  scoreAt: (place: number, title: number) => number | undefined,
): RowSource {
  return (count, accepts) => {
    const picks: Pick[] = [];
    for (let place = 0; place < titles.length && picks.length < count; place++) {
      const title = titles[place] ?? 0;
      if (accepts(title)) picks.push({ title, score: scoreAt(place, title) ?? 0, baseRank: place + 1 });
    }
    return picks;
  };
}
