import { createAimd, createGradient, createVegas } from '../../plugins/filters/concurrency-limit/corrected-limits.ts';
import type { LimitAlgorithm } from '../../plugins/filters/concurrency-limit/limit-algorithm.ts';
import { createOriginalAimd } from '../../plugins/filters/concurrency-limit/original-aimd.ts';
import { createOriginalGradient } from '../../plugins/filters/concurrency-limit/original-gradient.ts';
import { createOriginalVegas } from '../../plugins/filters/concurrency-limit/original-vegas.ts';
import { createSeededRandom } from '../../server/core/random.ts';

export interface Contestant {
  readonly name: string;
  readonly color: string;
  readonly original: () => LimitAlgorithm;
  readonly corrected: () => LimitAlgorithm;
}

const random = () => createSeededRandom(3);

/** Each algorithm as published, with its own defaults, and as corrected. */
export const contestants: readonly Contestant[] = [
  {
    ...{ name: 'Gradient', color: '#1f6feb' },
    original: createOriginalGradient,
    corrected: () => createGradient({ random: random() }),
  },
  {
    ...{ name: 'Vegas', color: '#1a7f37' },
    original: () => createOriginalVegas({ random: random() }),
    corrected: () => createVegas({ random: random() }),
  },
  {
    ...{ name: 'AIMD', color: '#bc4c00' },
    original: createOriginalAimd,
    corrected: () => createAimd({ random: random() }),
  },
];

/** A limit that stays as it is. */
export function fixedLimit(limit: number): LimitAlgorithm {
  return { limit, settledLimit: limit, update: () => {} };
}
