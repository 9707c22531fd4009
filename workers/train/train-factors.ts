import type { RatingsTable } from '../../server/ranking/data/ratings-table.ts';
import { leastPositive, profilesByTitle, titlesByProfile } from '../../server/ranking/data/sparse-rows.ts';
import { type IalsFactors, trainIals } from '../../server/ranking/maths/ials.ts';
import type { Pacer } from '../../server/ranking/maths/pacer.ts';
import type { TrainSettings } from '../../server/ranking/models/train-settings.ts';

/** iALS on the positives of the table; `onProgress` hears the share of the sweeps done. */
export function trainFactors(
  table: RatingsTable,
  settings: TrainSettings,
  pacer: Pacer,
  onProgress: (done: number) => void,
): Promise<IalsFactors> {
  const byProfile = titlesByProfile(table, leastPositive);
  const byTitle = profilesByTitle(table, leastPositive);
  return trainIals(byProfile, byTitle, settings, pacer, (sweep) => onProgress(sweep / settings.sweeps));
}
