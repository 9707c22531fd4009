import type { AppError } from '../../../server/core/errors.ts';
import { ffmpegFailed, sourceRefused } from '../errors.ts';
import { errorText, isSeekArtefact } from '../ffmpeg/ffmpeg-errors.ts';
import type { ProcessEnd } from '../ffmpeg/run-process.ts';

/** Whose fault an ended encode is. */
export interface EncodeVerdict {
  /** Undefined = none. */
  readonly error: AppError | undefined;
  /** Lines that only a seek explains. */
  readonly excused: number;
}

/** A decoder or demuxer that names itself, and what ffmpeg says when one gave up: the source's fault. */
const sourceLine = /^[a-z0-9_,#:/ ]+: |while decoding|decoder|corrupt|invalid data/i;
/** Parts of ffmpeg that write what we asked for: not the source's fault. */
const ourLine = /^(?:libx264|aac|mp4|out#|Parsed_|AVFilterGraph|prlimit|setpriv)|encoder|output file/i;

/**
 * Judges an encode by its error lines first and its exit code second, since ffmpeg ends with 0 after decoding garbage.
 * `seek` tells whether it started in the middle, and `indexed` whether the container could seek exactly.
 */
export function judgeEncode(work: string, end: ProcessEnd, seek: boolean, indexed: boolean): EncodeVerdict {
  const excusable = (line: string) => seek && isSeekArtefact(line, indexed);
  const serious = end.errorLines.filter((line) => !excusable(line)).map(errorText);
  const excused = end.errorLines.length - serious.length;
  if (serious.length === 0 && end.exitCode === 0) return { error: undefined, excused };
  const first = serious.find((line) => sourceLine.test(line) && !ourLine.test(line));
  if (first !== undefined) {
    const why = `${work}: ${serious.length} decode errors, the first: ${first}`;
    return { error: sourceRefused('SOURCE_UNREADABLE', why), excused };
  }
  return { error: ffmpegFailed(work, `exit code ${end.exitCode}`, serious[0] ?? ''), excused };
}
