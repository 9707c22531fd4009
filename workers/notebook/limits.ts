import type { RunLimits } from '../../notebooks-runner/run/run-options.ts';
import type { Json } from '../queue/job-kind.ts';

const mebibyte = 1_048_576;

/** What a job may ask for: no more than any run may have. */
const bounds = {
  memoryMib: { least: 64, most: 4_096, limit: 'maxMemoryBytes', unit: mebibyte },
  diskMib: { least: 1, most: 16_384, limit: 'maxDiskBytes', unit: mebibyte },
  outputMib: { least: 1, most: 64, limit: 'maxRunOutputBytes', unit: mebibyte },
  openFiles: { least: 64, most: 4_096, limit: 'maxOpenFiles', unit: 1 },
  cpuSeconds: { least: 1, most: 86_400, limit: 'maxCpuSeconds', unit: 1 },
} as const satisfies Record<string, { least: number; most: number; limit: keyof RunLimits; unit: number }>;

/** Limits of a notebook job's parameter `limits`, each absent one as any run has it. `fault` is told what is wrong. */
export function parseLimits(value: Json, fault: (field: string, description: string) => void): RunLimits {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fault('.limits', 'must be an object');
    return {};
  }
  const limits: { -readonly [name in keyof RunLimits]: number } = {};
  for (const [name, given] of Object.entries(value)) {
    const bound = Object.hasOwn(bounds, name) ? bounds[name as keyof typeof bounds] : undefined;
    if (bound === undefined) fault(`.limits.${name}`, `is not known; known: ${Object.keys(bounds).join(', ')}`);
    else if (typeof given !== 'number' || !Number.isInteger(given) || given < bound.least || given > bound.most) {
      fault(`.limits.${name}`, `must be a whole number from ${bound.least} to ${bound.most}`);
    } else limits[bound.limit] = given * bound.unit;
  }
  return limits;
}
