import type { TrainSettings } from './models/train-settings.ts';

/** Parameters of a `train-ranker` job, as JSON. */
export type TrainJobParams = TrainSettings & {
  readonly datasetKey: string;
  readonly titlesKey: string;
  readonly publish: boolean;
};

/** Starts training jobs: the one thing that ranking wants of the jobs area. */
export interface Trainer {
  /** Stores and queues a `train-ranker` job and gives its name, `jobs/{job}`. An empty request id = none. */
  start(params: TrainJobParams, requestId: string): Promise<string>;
}
