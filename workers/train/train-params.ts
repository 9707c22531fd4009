import { type FieldViolation, invalidFields } from '../../server/core/errors.ts';
import { defaultTrainSettings, type TrainSettings } from '../../server/ranking/models/train-settings.ts';
import type { Json } from '../queue/job-kind.ts';

/** Parameters of a `train-ranker` job. */
export interface TrainParams {
  /** Object key of a ratings snapshot, `datasets/<id>/ratings.bin`. */
  readonly datasetKey: string;
  /** Object key of its titles, `datasets/<id>/titles.json`; empty = titles are called by their ids. */
  readonly titlesKey: string;
  readonly settings: TrainSettings;
  /** Handed through to the result: the server publishes the model when the job succeeded. */
  readonly publish: boolean;
}

const snapshotKey = /^datasets\/[0-9a-f]{32}\/ratings\.bin$/;
const titlesKeyForm = /^datasets\/[0-9a-f]{32}\/titles\.json$/;
const known = new Set(['datasetKey', 'titlesKey', 'publish', ...Object.keys(defaultTrainSettings)]);

/** Checks stored parameters; absent settings get their defaults. INVALID_FIELDS names every faulty one. */
export function parseTrainParams(value: Json): TrainParams {
  const given = (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}) as {
    readonly [key: string]: Json;
  };
  const faults: FieldViolation[] = [];
  const fault = (name: string, description: string) => faults.push({ field: `params.${name}`, description });
  const number = (
    name: keyof TrainSettings & string,
    fallback: number,
    isGood: (n: number) => boolean,
    form: string,
  ) => {
    const found = given[name] ?? fallback;
    if (typeof found === 'number' && isGood(found)) return found;
    fault(name, `expected ${form}, got ${JSON.stringify(found)}`);
    return fallback;
  };
  const whole = (least: number, most: number) => (n: number) => Number.isInteger(n) && n >= least && n <= most;
  const text = (name: string, form: RegExp, isOptional: boolean) => {
    const found = given[name] ?? '';
    if (typeof found === 'string' && (form.test(found) || (isOptional && found === ''))) return found;
    fault(name, `expected an object key like ${form.source}`);
    return '';
  };

  for (const name of Object.keys(given)) if (!known.has(name)) fault(name, 'no such parameter');
  const holdout = given['holdout'] ?? defaultTrainSettings.holdout;
  if (holdout !== 'time' && holdout !== 'fold') fault('holdout', 'expected "time" or "fold"');
  const publish = given['publish'] ?? false;
  if (typeof publish !== 'boolean') fault('publish', 'expected true or false');
  const params = {
    datasetKey: text('datasetKey', snapshotKey, false),
    titlesKey: text('titlesKey', titlesKeyForm, true),
    settings: {
      factors: number(
        'factors',
        defaultTrainSettings.factors,
        (n) => whole(8, 256)(n) && n % 4 === 0,
        'a multiple of 4 from 8 to 256',
      ),
      sweeps: number('sweeps', defaultTrainSettings.sweeps, whole(1, 100), 'a whole number from 1 to 100'),
      regularization: number(
        'regularization',
        defaultTrainSettings.regularization,
        (n) => n >= 1e-6 && n <= 1000,
        'a number from 0.000001 to 1000',
      ),
      unobservedWeight: number(
        'unobservedWeight',
        defaultTrainSettings.unobservedWeight,
        (n) => n > 0 && n <= 10,
        'a number above 0, at most 10',
      ),
      seed: number('seed', defaultTrainSettings.seed, whole(0, 2 ** 32 - 1), 'a whole number from 0 to 4294967295'),
      holdout: holdout === 'fold' ? ('fold' as const) : ('time' as const),
    },
    publish: publish === true,
  };
  if (faults.length > 0) throw invalidFields(faults);
  return params;
}
