import type { Title } from '../data/title.ts';

/** Rungs of the ladder, freshest first. */
export type Tier = 'online' | 'nearline' | 'offline' | 'popularity';

/** What a page is asked for. Ids are bare. */
export interface PageRequest {
  readonly profile: string;
  /** Titles per row, 1 to 100. */
  readonly pageSize: number;
  /** Rows, 1 to 40. */
  readonly rowCount: number;
  /** Only this genre; empty = all. */
  readonly genre: string;
  readonly exclude: ReadonlySet<string>;
  /** Include contributions. */
  readonly explain: boolean;
  /** Time that ranking may take, in ms. */
  readonly budgetMs: number;
}

/** A liked title and its additive part of a score. */
export interface Contribution {
  readonly title: Title;
  readonly amount: number;
}

/** One title of a row. */
export interface RecommendedTitle {
  readonly title: Title;
  readonly score: number;
  /** Place in the personal ranking before rows were built, from 1; 0 = unknown. */
  readonly baseRank: number;
  readonly because: readonly Contribution[];
}

/** One row; ids as in the contract, e.g. `because:titles/318`. */
export interface PageRow {
  readonly id: string;
  readonly name: string;
  readonly titles: readonly RecommendedTitle[];
}

/** Rows and where they come from. */
export interface Page {
  readonly rows: readonly PageRow[];
  readonly tier: Tier;
  /** Bare model id; empty when none served. */
  readonly modelId: string;
  readonly publishVersion: number;
  /** How old the ranking is, in ms. */
  readonly ageMs: number;
  /** Why fresher rungs did not answer, e.g. `ONLINE: DEADLINE`. */
  readonly skipped: readonly string[];
  readonly eventsApplied: number;
}
