import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type DatasetSchema,
  type ModelSchema,
  type RankedTitleSchema,
  type RecommendationRowSchema,
  Tier,
} from '../../proto/gen/showrunner/ranking/v1/ranking_pb.ts';
import type { RecommendResponseSchema } from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import type { Title } from './data/title.ts';
import type { DatasetRecord } from './datasets/dataset-store.ts';
import { modelKey } from './models/model-commit.ts';
import type { ModelRecord } from './models/model-registry.ts';
import type { Page, PageRow } from './serving/page.ts';

const tiers = {
  online: Tier.ONLINE,
  nearline: Tier.NEARLINE,
  offline: Tier.OFFLINE,
  popularity: Tier.POPULARITY,
} as const;

/** The data set as the contract shows it. */
export function toDataset(record: DatasetRecord): MessageInitShape<typeof DatasetSchema> {
  return {
    name: `datasets/${record.id}`,
    ratingCount: BigInt(record.ratings),
    profileCount: BigInt(record.profiles),
    titleCount: BigInt(record.titles),
    objectKey: record.objectKey,
    titlesObjectKey: record.titlesObjectKey,
    createTime: toTimestamp(record.createdMs),
  };
}

/** The model as the contract shows it. `publishVersion` 0 = never published. */
export function toModel(
  { id, commit, createdMs }: ModelRecord,
  { publishVersion, published }: { publishVersion: number; published: boolean },
): MessageInitShape<typeof ModelSchema> {
  return {
    name: `models/${id}`,
    dataset: commit.dataset,
    metrics: commit.metrics,
    params: Object.fromEntries(Object.entries(commit.settings).map(([name, value]) => [name, String(value)])),
    job: `jobs/${commit.jobId}`,
    objectKeys: {
      model: modelKey(id, 'model'),
      predictions: modelKey(id, 'predictions'),
      metrics: modelKey(id, 'metrics'),
    },
    createTime: toTimestamp(createdMs),
    published,
    publishVersion: BigInt(publishVersion),
  };
}

/** The page as the contract shows it. */
export function toRecommendResponse(page: Page): MessageInitShape<typeof RecommendResponseSchema> {
  return {
    rows: page.rows.map(toRow),
    provenance: {
      tier: tiers[page.tier],
      model: page.modelId === '' ? '' : `models/${page.modelId}`,
      publishVersion: BigInt(page.publishVersion),
      age: toDuration(Math.round(page.ageMs)),
      skipped: [...page.skipped],
      eventsApplied: BigInt(page.eventsApplied),
    },
  };
}

function toRow(row: PageRow): MessageInitShape<typeof RecommendationRowSchema> {
  return {
    id: row.id,
    displayName: row.name,
    recommendations: row.titles.map(({ title, score, baseRank, because }) => ({
      title: toTitle(title),
      score,
      baseRank,
      because: because.map(({ title: cause, amount }) => ({ title: toTitle(cause), amount })),
    })),
  };
}

function toTitle({ id, name, genres }: Title): MessageInitShape<typeof RankedTitleSchema> {
  return { title: `titles/${id}`, displayName: name, genres: [...genres] };
}
