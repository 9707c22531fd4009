/** Everything besides the data that decides the bytes of a model. */
export interface TrainSettings {
  /** Latent factors of iALS: a multiple of 4, 8 to 256. */
  readonly factors: number;
  /** Sweeps of iALS, 1 to 100. */
  readonly sweeps: number;
  readonly regularization: number;
  /** Weight of unobserved pairs (alpha0). */
  readonly unobservedWeight: number;
  /** Seed of the initial factors, 0 to 2^32 - 1. */
  readonly seed: number;
  /**
   * What is held out to measure quality: `time` = each profile's newest fifth (protocol P3), `fold` = every fifth
   * row by hash (protocol P1, fold 0).
   */
  readonly holdout: 'time' | 'fold';
}

/** Settings that rank best on MovieLens (Rendle et al.'s form of iALS). */
export const defaultTrainSettings: TrainSettings = {
  factors: 64,
  sweeps: 16,
  regularization: 0.01,
  unobservedWeight: 0.1,
  seed: 1,
  holdout: 'time',
};
