import type { Random } from '../../engine/filter.ts';
import { createAimd, createGradient, createVegas } from './corrected-limits.ts';
import type { LimitAlgorithm, LimitBounds } from './limit-algorithm.ts';
import type { LimitConfig } from './limit-config.ts';
import { createOriginalAimd } from './original-aimd.ts';
import { createOriginalGradient } from './original-gradient.ts';
import { createOriginalVegas } from './original-vegas.ts';

/** The algorithm of that name. */
export function createAlgorithm(
  { algorithm, tolerance }: Pick<LimitConfig, 'algorithm' | 'tolerance'>,
  bounds: LimitBounds,
  random: Random,
): LimitAlgorithm {
  const all = { ...bounds, random, ...(tolerance === undefined ? {} : { tolerance }) };
  switch (algorithm) {
    case 'gradient':
      return createGradient(all);
    case 'vegas':
      return createVegas(all);
    case 'aimd':
      return createAimd(all);
    case 'original-gradient2':
      return createOriginalGradient(all);
    case 'original-vegas':
      return createOriginalVegas(all);
    case 'original-aimd':
      return createOriginalAimd(all);
  }
}
