import { type FieldViolation, invalidFields } from '../../server/core/errors.ts';
import type { Json } from '../queue/job-kind.ts';
import type { LadderStep } from './ladder.ts';

/** Parameters of a `transcode` job. */
export type TranscodeParams = {
  /** Resource name, `titles/{title}`. */
  readonly titleId: string;
  /** Object key of the source. */
  readonly sourceKey: string;
  /** Steps to encode; default: the fixed ladder. */
  readonly ladder?: readonly LadderStep[];
};

/** Parameters of `encode-chunk`: a plan and which of its chunks. */
export type ChunkParams = { readonly plan: string; readonly chunk: number };

/** Parameters of `encode-audio`: a plan. */
export type AudioParams = { readonly plan: string };

const maxSteps = 10;

type Fields = Readonly<Record<string, Json | undefined>>;

function objectFields(value: Json, known: readonly string[], faults: FieldViolation[]): Fields {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    faults.push({ field: 'params', description: 'must be an object' });
    return {};
  }
  const fields = value as Fields;
  for (const name of Object.keys(fields)) {
    if (!known.includes(name)) faults.push({ field: name, description: `is not known; known: ${known.join(', ')}` });
  }
  return fields;
}

function textField(fields: Fields, name: string, rule: RegExp, says: string, faults: FieldViolation[]): string {
  const value = fields[name];
  if (typeof value === 'string' && rule.test(value)) return value;
  faults.push({ field: name, description: says });
  return '';
}

function numberField(
  fields: Fields,
  path: string,
  name: string,
  range: readonly [number, number],
  faults: FieldViolation[],
): number {
  const value = fields[name];
  const [least, most] = range;
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  faults.push({ field: `${path}${name}`, description: `must be a whole number from ${least} to ${most}` });
  return least;
}

const stepFields = ['height', 'crf', 'maxrateKbps'] as const;

function parseStep(value: Json, path: string, faults: FieldViolation[]): LadderStep {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
  if (!isObject) faults.push({ field: path, description: `must be an object with ${stepFields.join(', ')}` });
  const fields: Fields = isObject ? (value as Fields) : { height: 2, crf: 1, maxrateKbps: 50 };
  for (const name of Object.keys(fields)) {
    const known = stepFields.some((each) => each === name);
    if (!known) faults.push({ field: `${path}.${name}`, description: `is not known; known: ${stepFields.join(', ')}` });
  }
  const height = numberField(fields, `${path}.`, 'height', [2, 4320], faults);
  if (height % 2 !== 0) faults.push({ field: `${path}.height`, description: 'must be even' });
  const crf = numberField(fields, `${path}.`, 'crf', [1, 51], faults);
  return { height, crf, maxrateKbps: numberField(fields, `${path}.`, 'maxrateKbps', [50, 200_000], faults) };
}

function parseLadder(value: Json | undefined, faults: FieldViolation[]): LadderStep[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > maxSteps) {
    faults.push({ field: 'ladder', description: `must be a list of 1 to ${maxSteps} steps` });
    return undefined;
  }
  const steps = (value as readonly Json[]).map((step, index) => parseStep(step, `ladder[${index}]`, faults));
  if (new Set(steps.map((step) => step.height)).size < steps.length) {
    faults.push({ field: 'ladder', description: 'must not name a height twice' });
  }
  return steps;
}

/** A key of the object store: `/`-separated names, no `.` or `..`, no URL; its rules are the store's own. */
const objectKey = /^(?![./])(?!.*:\/\/)(?!.*\/(?:\.{0,2})(?:\/|$))[^\p{Cc}\\]{1,512}$/u;

/** INVALID_ARGUMENT INVALID_FIELDS with the path of every faulty field. */
export function parseTranscodeParams(value: Json): TranscodeParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['titleId', 'sourceKey', 'ladder'], faults);
  const titleRule = 'must be a title name such as titles/big-buck-bunny (1-63 characters of a-z, 0-9 and -)';
  const titleId = textField(fields, 'titleId', /^titles\/[a-z0-9-]{1,63}$/, titleRule, faults);
  const sourceKey = textField(fields, 'sourceKey', objectKey, 'must be an object key, not a URL or a path', faults);
  const ladder = parseLadder(fields['ladder'], faults);
  if (faults.length > 0) throw invalidFields(faults);
  return { titleId, sourceKey, ...(ladder ? { ladder } : {}) };
}

const planKey = /^transcode\/plans\/[0-9a-f]{64}\.json$/;

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseChunkParams(value: Json): ChunkParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan', 'chunk'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  const chunk = numberField(fields, '', 'chunk', [0, 1_000_000], faults);
  if (faults.length > 0) throw invalidFields(faults);
  return { plan, chunk };
}

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseAudioParams(value: Json): AudioParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  if (faults.length > 0) throw invalidFields(faults);
  return { plan };
}
