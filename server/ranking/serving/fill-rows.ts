import type { Title } from '../data/title.ts';
import { topK } from '../maths/top-k.ts';
import type { ServingModel } from '../models/serving-model.ts';
import type { Taste } from '../nearline/taste.ts';
import type { Contribution, PageRequest, PageRow } from './page.ts';
import type { Pick, RowPlan } from './row-source.ts';

/** What rows are filled for. */
export interface FillRows {
  readonly model: ServingModel;
  readonly request: PageRequest;
  /** What must not be shown again, and what explains the rest. */
  readonly taste: Taste;
  /** True when the time is up: the rows filled so far are the page. */
  readonly isLate: () => boolean;
}

/** A row with fewer titles is not worth a heading, unless it is the first. */
const leastRowTitles = 4;
const mostContributions = 3;

/**
 * Fills the planned rows in order until there are enough. A title stands once on the page, in the first row that
 * wants it; titles that were seen or excluded stand nowhere. Rows that end up short are left out.
 */
export function fillRows(plans: Iterable<RowPlan>, context: FillRows): PageRow[] {
  const { model, request, taste, isLate } = context;
  const taken = taste.seen.slice();
  for (const id of request.exclude) {
    const title = model.ranker.titles.indexOf(id);
    if (title !== undefined) taken[title] = 1;
  }
  const accepts = (title: number) =>
    taken[title] === 0 && (request.genre === '' || model.hasGenre(title, request.genre));
  const least = Math.min(leastRowTitles, request.pageSize);
  const rows: PageRow[] = [];
  for (const plan of plans) {
    if (rows.length >= request.rowCount || (rows.length > 0 && isLate())) break;
    const picks = plan.source(request.pageSize, accepts);
    if (picks.length < (rows.length === 0 ? 1 : least)) continue;
    for (const { title } of picks) taken[title] = 1;
    const because = request.explain ? explain(plan, picks, context) : [];
    rows.push({
      id: plan.id,
      name: plan.name,
      titles: picks.map(({ title, score, baseRank }, at) => ({
        title: titleOf(model, title),
        score,
        baseRank,
        because: because[at] ?? [],
      })),
    });
  }
  return rows;
}

function explain(plan: RowPlan, picks: readonly Pick[], { model, taste }: FillRows): Contribution[][] {
  const { becauseOf } = plan;
  if (becauseOf !== undefined) {
    return picks.map(({ score }) => [{ title: likedTitleOf(model, taste, becauseOf), amount: score }]);
  }
  if (!plan.isPersonal) return [];
  const titles = picks.map(({ title }) => title);
  const { positives, content } = taste;
  return model.folder.contributions(positives, titles, content).map((amounts) =>
    Array.from(
      topK(amounts, mostContributions, (at) => (amounts[at] ?? 0) > 0),
      (at) => ({ title: likedTitleOf(model, taste, positives[at] ?? 0), amount: amounts[at] ?? 0 }),
    ),
  );
}

/** The catalogue's entry of a title index. */
function titleOf(model: ServingModel, title: number): Title {
  const id = model.ranker.titles.ids[title] ?? '';
  return model.ranker.catalogue[title] ?? { id, name: id, genres: [] };
}

/** The title of one of the taste's positives, also of one that the model does not know. */
export function likedTitleOf(model: ServingModel, taste: Taste, positive: number): Title {
  return taste.contentTitles[positive - model.ranker.titles.ids.length] ?? titleOf(model, positive);
}
