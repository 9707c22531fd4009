import type {
  ImportDatasetRequest,
  RecommendRequest,
  TrainModelRequest,
} from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { type FieldViolation, invalidField, invalidFields } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { readDuration, readTimestamp } from '../rpc/edge/wkt-time.ts';
import { ratingFault } from './data/ratings-table.ts';
import { titleFault } from './data/title.ts';
import type { DatasetImport } from './datasets/dataset-store.ts';
import { defaultTrainSettings, type TrainSettings } from './models/train-settings.ts';
import { bareId } from './nearline/play-event.ts';
import type { PageRequest } from './serving/page.ts';

/** Ids of data sets and models: the first half of a SHA-256. */
export const digestId = /^[0-9a-f]{32}$/;

const mostBatch = 10_000;
const mostViolations = 20;
const mostExcluded = 1_000;
const defaultBudgetMs = 50;
/** Part of what is left of the deadline that ranking may take; the rest goes to sending the answer. */
const deadlineShare = 0.9;

/** Adds one message of an import; INVALID_FIELDS names its first 20 faulty fields. `number` counts from 1. */
export function addImportBatch(target: DatasetImport, request: ImportDatasetRequest, number: number): void {
  if (request.ratings.length + request.titles.length > mostBatch) {
    throw invalidField('ratings', `message ${number}: expected at most ${mostBatch} entries a message`);
  }
  const faults: FieldViolation[] = [];
  const check = (field: string, fault: string | undefined) => {
    if (fault !== undefined && faults.length < mostViolations) {
      faults.push({ field, description: `message ${number}: ${fault}` });
    }
    return fault === undefined;
  };
  for (const [at, rating] of request.ratings.entries()) {
    const timeMs = readTimestamp(`ratings[${at}].time`, rating.time) ?? Number.NaN;
    const profile = bareId('profiles', rating.profile);
    const row = { profile, title: bareId('titles', rating.title), value: rating.value, timeMs };
    if (check(`ratings[${at}]`, ratingFault(row))) target.addRating(row);
  }
  for (const [at, { title, displayName, genres }] of request.titles.entries()) {
    const id = bareId('titles', title);
    const entry = { id, name: displayName === '' ? id : displayName, genres };
    if (check(`titles[${at}]`, titleFault(entry))) target.addTitle(entry);
  }
  if (faults.length > 0) throw invalidFields(faults);
}

/** The settings of a training request: zero fields take the defaults. INVALID_FIELDS. */
export function readTrainSettings(request: TrainModelRequest): TrainSettings {
  const faults: FieldViolation[] = [];
  const given = (field: string, value: number, fallback: number, isGood: boolean, form: string) => {
    if (value === 0) return fallback;
    if (!isGood) faults.push({ field, description: `expected ${form}, got ${value}` });
    return value;
  };
  const { factors, sweeps, regularization, unobservedWeight } = request;
  const settings = {
    factors: given(
      'factors',
      factors,
      defaultTrainSettings.factors,
      factors >= 8 && factors <= 256 && factors % 4 === 0,
      'a multiple of 4 from 8 to 256',
    ),
    sweeps: given('sweeps', sweeps, defaultTrainSettings.sweeps, sweeps >= 1 && sweeps <= 100, '1 to 100'),
    regularization: given(
      'regularization',
      regularization,
      defaultTrainSettings.regularization,
      regularization >= 1e-6 && regularization <= 1000,
      '0.000001 to 1000',
    ),
    unobservedWeight: given(
      'unobserved_weight',
      unobservedWeight,
      defaultTrainSettings.unobservedWeight,
      unobservedWeight > 0 && unobservedWeight <= 10,
      'a number above 0, at most 10',
    ),
    seed: request.seed,
    holdout: defaultTrainSettings.holdout,
  };
  if (request.requestId.length > 128) {
    faults.push({ field: 'request_id', description: 'expected at most 128 characters' });
  }
  if (faults.length > 0) throw invalidFields(faults);
  return settings;
}

/** What to rank; `remainingMs` is what is left of the call's deadline. INVALID_FIELDS. */
export function readPageRequest(request: RecommendRequest, remainingMs: number): PageRequest {
  const profile = bareId('profiles', request.profile);
  const faults: FieldViolation[] = [];
  if (profile === '' || profile.length > 128) {
    faults.push({ field: 'profile', description: 'expected a profile id of 1 to 128 characters' });
  }
  if (request.genre.length > 64) faults.push({ field: 'genre', description: 'expected at most 64 characters' });
  if (request.excludeTitles.length > mostExcluded) {
    faults.push({ field: 'exclude_titles', description: `expected at most ${mostExcluded} titles` });
  }
  const budgetMs = readDuration('budget', request.budget) ?? defaultBudgetMs;
  if (budgetMs < 0) faults.push({ field: 'budget', description: `expected at least 0, got ${budgetMs} ms` });
  if (faults.length > 0) throw invalidFields(faults);
  return {
    profile,
    pageSize: readPageSize(request.pageSize, { fallback: 20, most: 100 }),
    rowCount: readPageSize(request.rowCount, { fallback: 1, most: 40 }, 'row_count'),
    genre: request.genre,
    exclude: new Set(request.excludeTitles.map((title) => bareId('titles', title))),
    explain: request.explain,
    budgetMs: Math.min(budgetMs, Math.max(0, remainingMs * deadlineShare)),
  };
}
