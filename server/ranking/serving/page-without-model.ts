import type { Clock } from '../../core/clock.ts';
import type { Title } from '../data/title.ts';
import type { PopularList } from '../datasets/dataset-store.ts';
import { noRatings } from '../errors.ts';
import type { Nearline } from '../nearline/nearline.ts';
import type { Page, PageRequest, PageRow, RecommendedTitle } from './page.ts';

/**
 * The page while no model serves: what the newest data set has as popular, and what is being played.
 * NO_RATINGS (UNAVAILABLE) when there is neither.
 */
export function pageWithoutModel(
  request: PageRequest,
  popular: PopularList | undefined,
  nearline: Pick<Nearline, 'profiles' | 'trending'>,
  clock: Clock,
): Page {
  const trending = nearline.trending.top();
  if (popular === undefined && trending.length === 0) throw noRatings();
  const taken = new Set(request.exclude);
  for (const { title } of nearline.profiles.recall(request.profile)?.events ?? []) taken.add(title);
  const catalogue = new Map<string, Title>((popular?.titles ?? []).map((title) => [title.id, title]));
  const rowOf = (id: string, name: string, ranking: readonly { id: string; score: number }[]): PageRow => {
    const titles: RecommendedTitle[] = [];
    for (const [place, { id: title, score }] of ranking.entries()) {
      if (titles.length >= request.pageSize) break;
      const known = catalogue.get(title) ?? { id: title, name: title, genres: [] };
      if (taken.has(title) || (request.genre !== '' && !known.genres.includes(request.genre))) continue;
      taken.add(title);
      titles.push({ title: known, score, baseRank: place + 1, because: [] });
    }
    return { id, name, titles };
  };
  const plans = [
    () => rowOf('popular', 'Popular', popular?.titles ?? []),
    () =>
      rowOf(
        'trending',
        'Trending now',
        trending.map(({ title, score }) => ({ id: title, score })),
      ),
  ];
  const rows: PageRow[] = [];
  for (const plan of plans) {
    if (rows.length >= request.rowCount) break;
    const row = plan();
    if (row.titles.length > 0) rows.push(row);
  }
  return {
    rows,
    tier: 'popularity',
    modelId: '',
    publishVersion: 0,
    ageMs: popular === undefined ? 0 : Math.max(0, clock.now() - popular.createdMs),
    skipped: ['ONLINE: NO_MODEL', 'NEARLINE: NO_MODEL', 'OFFLINE: NO_MODEL'],
    eventsApplied: 0,
  };
}
