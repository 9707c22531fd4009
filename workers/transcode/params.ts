import { type FieldViolation, invalidFields } from '../../server/core/errors.ts';
import type { Json } from '../queue/job-kind.ts';
import { type VideoCodec, videoCodecs } from './codecs/video-codec.ts';
import type { LadderStep } from './plan/ladder.ts';
import type { AudioCodec } from './plan/plan-audio.ts';
import type { LadderMode } from './quality/ladder-report.ts';
import type { Metric } from './quality/metric.ts';

/** Parameters of a `transcode` job. */
export type TranscodeParams = {
  /** Resource name, `titles/{title}`. */
  readonly titleId: string;
  /** Object key of the source. */
  readonly sourceKey: string;
  /** Steps to encode, in place of any other ladder. */
  readonly ladder?: readonly LadderStep[];
  /** Default: per-title for titles of 60 s and more, else fixed. */
  readonly ladderMode?: LadderMode;
  /** Default: H.264 alone, which every player has. */
  readonly codecs?: readonly VideoCodec[];
  /** Processor seconds that the trials of a per-title ladder may take. Default: what the title lasts, at least 240. */
  readonly analysisCpuSeconds?: number;
  /** Beside AAC, which every title has. Default: none. */
  readonly audioCodecs?: readonly AudioCodec[];
  /** Integrated loudness of all audio: -23 (EBU R 128, the default), -16 (phones and laptops) or 0, as it is. */
  readonly loudnessLufs?: number;
  /** `keep` = beside the other codecs HEVC in 10 bit with the source's PQ or HLG. Default `sdr`: all is mapped to SDR. */
  readonly hdr?: HdrMode;
};

type HdrMode = 'sdr' | 'keep';

/** Parameters of `trial-encode`: a plan of trials, which of its samples, and how its pictures are compared. */
export type TrialParams = { readonly plan: string; readonly sample: number; readonly metric: Metric };

/** Parameters of `score-title`. */
export type ScoreParams = {
  /** Key of a title version's commit record. */
  readonly encodeSetKey: string;
  /** Default: VMAF where a build has it, else SSIM. */
  readonly metric?: Metric;
};

/** Parameters of `encode-chunk`: a plan and which of its chunks. */
export type ChunkParams = { readonly plan: string; readonly chunk: number };

/** Parameters of `encode-audio`: a plan and which of its audio tracks. */
export type AudioParams = { readonly plan: string; readonly track: number };

/** Parameters of `extract-text`: a plan. */
export type PlanParams = { readonly plan: string };

const maxSteps = 10;

type Fields = Readonly<Record<string, Json | undefined>>;

/** Paths as callers of CreateJob know them: `params.ladder[0].crf`. */
function invalidParams(faults: readonly FieldViolation[]) {
  return invalidFields(
    faults.map((fault) => (fault.field === 'params' ? fault : { ...fault, field: `params.${fault.field}` })),
  );
}

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

function choiceField<T extends string>(
  fields: Fields,
  name: string,
  choices: readonly T[],
  faults: FieldViolation[],
): T | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) faults.push({ field: name, description: `must be one of ${choices.join(', ')}` });
  return found;
}

function parseCodecs(value: Json | undefined, faults: FieldViolation[]): VideoCodec[] | undefined {
  if (value === undefined) return undefined;
  const given: readonly Json[] = Array.isArray(value) ? value : [];
  const known = videoCodecs.filter((codec) => given.includes(codec));
  if (known.length === 0 || known.length !== given.length) {
    faults.push({ field: 'codecs', description: `must list some of ${videoCodecs.join(', ')}, each once` });
  }
  return known;
}

const audioCodecs: readonly AudioCodec[] = ['aac', 'opus'];

function parseAudioCodecs(value: Json | undefined, faults: FieldViolation[]): AudioCodec[] | undefined {
  if (value === undefined) return undefined;
  const given: readonly Json[] = Array.isArray(value) ? value : [];
  const known = audioCodecs.filter((codec) => given.includes(codec));
  if (known.length !== given.length || !known.includes('aac')) {
    faults.push({ field: 'audioCodecs', description: 'must list aac, and may list opus, each once' });
  }
  return known;
}

const loudnessTargets: readonly number[] = [-23, -16, 0];

function parseLoudness(value: Json | undefined, faults: FieldViolation[]): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && loudnessTargets.includes(value)) return value;
  faults.push({ field: 'loudnessLufs', description: `must be one of ${loudnessTargets.join(', ')}; 0 = as it is` });
  return undefined;
}

const hdrModes: readonly HdrMode[] = ['sdr', 'keep'];
const ladderModes: readonly LadderMode[] = ['fixed', 'per-title'];
const metrics: readonly Metric[] = ['ssim', 'vmaf'];

/** A key of the object store: `/`-separated names, no `.` or `..`, no URL; its rules are the store's own. */
const objectKey = /^(?![./])(?!.*:\/\/)(?!.*\/(?:\.{0,2})(?:\/|$))[^\p{Cc}\\]{1,512}$/u;

/** INVALID_ARGUMENT INVALID_FIELDS with the path of every faulty field. */
export function parseTranscodeParams(value: Json): TranscodeParams {
  const faults: FieldViolation[] = [];
  const known = [
    'titleId',
    'sourceKey',
    'ladder',
    'ladderMode',
    'codecs',
    'analysisCpuSeconds',
    'audioCodecs',
    'loudnessLufs',
    'hdr',
  ];
  const fields = objectFields(value, known, faults);
  const titleRule = 'must be a title name such as titles/big-buck-bunny (1-63 characters of a-z, 0-9 and -)';
  const titleId = textField(fields, 'titleId', /^titles\/[a-z0-9-]{1,63}$/, titleRule, faults);
  const sourceKey = textField(fields, 'sourceKey', objectKey, 'must be an object key, not a URL or a path', faults);
  const ladder = parseLadder(fields['ladder'], faults);
  const ladderMode = choiceField(fields, 'ladderMode', ladderModes, faults);
  if (ladder && ladderMode === 'per-title') {
    faults.push({ field: 'ladderMode', description: 'per-title chooses its own steps: leave ladder out' });
  }
  const codecs = parseCodecs(fields['codecs'], faults);
  const hasBudget = fields['analysisCpuSeconds'] !== undefined;
  const analysisCpuSeconds = hasBudget ? numberField(fields, '', 'analysisCpuSeconds', [1, 1_000_000], faults) : 0;
  const audioCodecs = parseAudioCodecs(fields['audioCodecs'], faults);
  const loudnessLufs = parseLoudness(fields['loudnessLufs'], faults);
  const hdr = choiceField(fields, 'hdr', hdrModes, faults);
  if (hdr === 'keep' && codecs && codecs.every((codec) => codec === 'hevc')) {
    faults.push({ field: 'codecs', description: 'must have one beside hevc, for screens that are not HDR' });
  }
  if (faults.length > 0) throw invalidParams(faults);
  return {
    ...(hdr ? { hdr } : {}),
    ...(audioCodecs ? { audioCodecs } : {}),
    ...(loudnessLufs === undefined ? {} : { loudnessLufs }),
    titleId,
    sourceKey,
    ...(ladder ? { ladder } : {}),
    ...(ladderMode ? { ladderMode } : {}),
    ...(codecs ? { codecs } : {}),
    ...(hasBudget ? { analysisCpuSeconds } : {}),
  };
}

const planKey = /^transcode\/plans\/[0-9a-f]{64}\.json$/;

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseChunkParams(value: Json): ChunkParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan', 'chunk'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  const chunk = numberField(fields, '', 'chunk', [0, 1_000_000], faults);
  if (faults.length > 0) throw invalidParams(faults);
  return { plan, chunk };
}

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseAudioParams(value: Json): AudioParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan', 'track'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  const track = numberField(fields, '', 'track', [0, 1_000], faults);
  if (faults.length > 0) throw invalidParams(faults);
  return { plan, track };
}

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parsePlanParams(value: Json): PlanParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  if (faults.length > 0) throw invalidParams(faults);
  return { plan };
}

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseTrialParams(value: Json): TrialParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['plan', 'sample', 'metric'], faults);
  const plan = textField(fields, 'plan', planKey, 'must be the key of a stored plan', faults);
  const sample = numberField(fields, '', 'sample', [0, 1_000], faults);
  const metric = choiceField(fields, 'metric', metrics, faults) ?? 'ssim';
  if (faults.length > 0) throw invalidParams(faults);
  return { plan, sample, metric };
}

const encodeSetKey = /^titles\/[a-z0-9-]{1,63}\/v[0-9a-f]{1,62}\/encode-set\.json$/;

/** INVALID_ARGUMENT INVALID_FIELDS. */
export function parseScoreParams(value: Json): ScoreParams {
  const faults: FieldViolation[] = [];
  const fields = objectFields(value, ['encodeSetKey', 'metric'], faults);
  const key = textField(fields, 'encodeSetKey', encodeSetKey, 'must be the key of a commit record', faults);
  const metric = choiceField(fields, 'metric', metrics, faults);
  if (faults.length > 0) throw invalidParams(faults);
  return { encodeSetKey: key, ...(metric ? { metric } : {}) };
}
