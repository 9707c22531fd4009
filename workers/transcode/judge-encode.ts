import type { AppError } from '../../server/core/errors.ts';
import { ffmpegFailed, sourceRefused } from './errors.ts';
import { errorText, isSeekArtefact } from './ffmpeg-errors.ts';
import type { ProcessEnd } from './run-process.ts';

/** Whose fault an ended encode is. */
export interface EncodeVerdict {
  /** Undefined = none. */
  readonly error: AppError | undefined;
  /** Lines that only a seek explains. */
  readonly excused: number;
}

/** Parts of ffmpeg that write what we asked for; whoever else complains complains about the source. */
const ours =
  /libx264|mp4: |out#|Parsed_|AVFilterGraph|Error (?:initializing|reinitializing|opening|while opening)|encoder|Conversion failed/i;

/**
 * Judges an encode by its error lines first and its exit code second, since ffmpeg ends with 0 after decoding garbage.
 * `seek` tells whether it started in the middle, and `indexed` whether the container could seek exactly.
 */
export function judgeEncode(work: string, end: ProcessEnd, seek: boolean, indexed: boolean): EncodeVerdict {
  const excusable = (line: string) => seek && isSeekArtefact(line, indexed);
  const serious = end.errorLines.filter((line) => !excusable(line)).map(errorText);
  const excused = end.errorLines.length - serious.length;
  if (serious.length === 0 && end.exitCode === 0) return { error: undefined, excused };
  const first = serious.find((line) => !ours.test(line));
  if (first !== undefined && !/killed by/.test(first)) {
    const why = `${work}: ${serious.length} decode errors, the first: ${first}`;
    return { error: sourceRefused('SOURCE_UNREADABLE', why), excused };
  }
  return { error: ffmpegFailed(work, `exit code ${end.exitCode}`, serious[0] ?? ''), excused };
}
