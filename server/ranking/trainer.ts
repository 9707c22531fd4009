import type { TrainSettings } from './models/train-settings.ts';

/** Parameters of a `train-ranker` job, as JSON. */
export type TrainJobParams = TrainSettings & {
  readonly datasetKey: string;
  readonly titlesKey: string;
  readonly publish: boolean;
};

/** Whose job a training is. */
export interface TrainOptions {
  /** Idempotency key within the owner; empty = none. */
  readonly requestId: string;
  /** Id of the principal that asked for it; empty = unknown. */
  readonly owner: string;
}

/** Starts training jobs: the one thing that ranking wants of the jobs area. */
export interface Trainer {
  /** Stores and queues a `train-ranker` job and gives its name, `jobs/{job}`. */
  start(params: TrainJobParams, options: TrainOptions): Promise<string>;
}
