import { createIdIndex, type IdIndex } from '../data/id-index.ts';
import { allBelow } from '../data/index-bounds.ts';
import { isStringList } from '../data/json.ts';
import { readSectionedFile, writeSectionedFile } from '../data/sectioned-file.ts';
import type { SparseRows } from '../data/sparse-rows.ts';
import type { Title } from '../data/title.ts';
import { fileDamaged } from '../errors.ts';
import type { BiasModel } from '../maths/bias-model.ts';
import type { TrainSettings } from './train-settings.ts';

/**
 * What model.bin holds (layout: sectioned-file.ts). Indexes are those of `profiles` and `titles`; everything a
 * server needs to rank, to fold events in and to fall back lies in this one file.
 */
export interface RankerModel {
  readonly settings: TrainSettings;
  readonly profiles: IdIndex;
  readonly titles: IdIndex;
  /** Name and genres by title index; a title that the catalogue lacks has its id as name. */
  readonly catalogue: readonly Title[];
  /** titles x factors, row-major. */
  readonly titleFactors: Float32Array;
  /** profiles x factors, row-major: what folding the profile's positives in gives. */
  readonly profileFactors: Float32Array;
  /** Predicts ratings; trained on all of them. */
  readonly biases: BiasModel;
  /** Decayed count of positives by title. */
  readonly popularity: Float64Array;
  /** Titles each profile rated, oldest first. */
  readonly history: SparseRows;
  /** Ratings beside `history.columns`. */
  readonly historyValues: Float32Array;
  /** Each profile's best unseen titles, best first: the offline tier. */
  readonly lists: SparseRows;
  /** Scores beside `lists.columns`. */
  readonly listScores: Float32Array;
}

const kind = 'showrunner.ranker';

/** The bytes of model.bin; equal models give equal bytes. */
export function encodeModel(model: RankerModel): Uint8Array {
  return writeSectionedFile(
    kind,
    { settings: { ...model.settings }, mean: model.biases.mean },
    {
      profileIds: { json: model.profiles.ids },
      titleIds: { json: model.titles.ids },
      catalogue: { json: model.catalogue.map(({ name, genres }) => [name, ...genres]) },
      titleFactors: model.titleFactors,
      profileFactors: model.profileFactors,
      titleBias: model.biases.titleBias,
      profileBias: model.biases.profileBias,
      popularity: model.popularity,
      historyOffsets: model.history.offsets,
      historyTitles: model.history.columns,
      historyValues: model.historyValues,
      listOffsets: model.lists.offsets,
      listTitles: model.lists.columns,
      listScores: model.listScores,
    },
  );
}

/** Maps model.bin; RANKING_FILE_DAMAGED when a length or an index does not fit. `name` is for the message. */
export function decodeModel(bytes: Uint8Array, name: string): RankerModel {
  const file = readSectionedFile(bytes, kind, name);
  const settings = file.meta['settings'] as unknown as TrainSettings | undefined;
  const mean = file.meta['mean'];
  const profileIds = file.json('profileIds');
  const titleIds = file.json('titleIds');
  const catalogue = file.json('catalogue');
  if (typeof settings?.factors !== 'number' || typeof mean !== 'number') throw fileDamaged(name, 'lacks settings');
  if (!isStringList(profileIds) || !isStringList(titleIds)) throw fileDamaged(name, 'ids are not strings');
  if (!Array.isArray(catalogue) || !catalogue.every(isStringList)) throw fileDamaged(name, 'has no catalogue');
  const model = {
    settings,
    profiles: createIdIndex(profileIds),
    titles: createIdIndex(titleIds),
    catalogue: titleIds.map((id, at) => ({
      id,
      name: catalogue[at]?.[0] ?? id,
      genres: catalogue[at]?.slice(1) ?? [],
    })),
    titleFactors: file.f32('titleFactors'),
    profileFactors: file.f32('profileFactors'),
    biases: { mean, titleBias: file.f64('titleBias'), profileBias: file.f64('profileBias') },
    popularity: file.f64('popularity'),
    history: { offsets: file.u32('historyOffsets'), columns: file.u32('historyTitles') },
    historyValues: file.f32('historyValues'),
    lists: { offsets: file.u32('listOffsets'), columns: file.u32('listTitles') },
    listScores: file.f32('listScores'),
  };
  const fault = faultOf(model);
  if (fault !== undefined) throw fileDamaged(name, fault);
  return model;
}

function faultOf(model: RankerModel): string | undefined {
  const profiles = model.profiles.ids.length;
  const titles = model.titles.ids.length;
  const d = model.settings.factors;
  const lengths: [string, number, number][] = [
    ['titleFactors', model.titleFactors.length, titles * d],
    ['profileFactors', model.profileFactors.length, profiles * d],
    ['titleBias', model.biases.titleBias.length, titles],
    ['profileBias', model.biases.profileBias.length, profiles],
    ['popularity', model.popularity.length, titles],
    ['historyOffsets', model.history.offsets.length, profiles + 1],
    ['historyValues', model.historyValues.length, model.history.columns.length],
    ['listOffsets', model.lists.offsets.length, profiles + 1],
    ['listScores', model.listScores.length, model.lists.columns.length],
  ];
  for (const [section, length, expected] of lengths) {
    if (length !== expected) return `section "${section}" holds ${length} entries, expected ${expected}`;
  }
  for (const [section, rows] of Object.entries({ history: model.history, lists: model.lists })) {
    if (!allBelow(rows.columns, titles)) return `${section} name a title that has no id`;
    if (rows.offsets.some((end, row) => end < (rows.offsets[row - 1] ?? 0) || end > rows.columns.length)) {
      return `${section} have offsets that do not ascend`;
    }
  }
  return undefined;
}
