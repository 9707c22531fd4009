import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';

/** Why a source is refused; each is INVALID_ARGUMENT and never retried. */
export type SourceReason =
  | 'SOURCE_EMPTY'
  | 'SOURCE_UNREADABLE'
  | 'SOURCE_NOT_VIDEO'
  | 'SOURCE_TOO_LARGE'
  | 'SOURCE_TRUNCATED'
  | 'SOURCE_DISCONTINUOUS'
  | 'SOURCE_FORMAT_REFUSED';

/** INVALID_ARGUMENT: the source cannot become a correct title; `why` tells its owner what to mend. */
export function sourceRefused(reason: SourceReason, why: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason,
    message: `source refused: ${why}`,
    fields: [{ field: 'params.sourceKey', description: why }],
  });
}

/** NOT_FOUND: no object under the key. */
export function sourceMissing(key: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'OBJECT_NOT_FOUND',
    message: `object "${key}" does not exist`,
    metadata: { key },
  });
}

/** FAILED_PRECONDITION: no ffmpeg or ffprobe anywhere. */
export function ffmpegMissing(program: 'ffmpeg' | 'ffprobe', looked: readonly string[]): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FFMPEG_MISSING',
    message:
      `${program} was not found (looked at ${looked.join(', ') || 'nothing'}). Install it with ` +
      '`apt-get install ffmpeg` or `brew install ffmpeg`, or name it in SHOWRUNNER_FFMPEG and SHOWRUNNER_FFPROBE',
    metadata: { program },
  });
}

/** FAILED_PRECONDITION: a binary was found and cannot do the work. */
export function ffmpegUnsuitable(path: string, why: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FFMPEG_UNSUITABLE',
    message: `${path} cannot be used: ${why}`,
    metadata: { path },
  });
}

/** FAILED_PRECONDITION: this build has no encoder for a codec that was asked for. */
export function codecUnavailable(codec: string, encoders: readonly string[]): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'CODEC_UNAVAILABLE',
    message: `this build of ffmpeg cannot encode ${codec}: it lacks ${encoders.join(' and ')}`,
    metadata: { codec },
  });
}

/** FAILED_PRECONDITION: this worker has no ffmpeg with the metric that the analysis was planned with. */
export function metricUnavailable(metric: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'METRIC_UNAVAILABLE',
    message: `no ffmpeg on this worker has the metric ${metric}`,
    metadata: { metric },
  });
}

/** INTERNAL: a quality score could not be read. Retried. */
export function scoreFailed(what: string, why: string): AppError {
  return new AppError({ code: Code.INTERNAL, reason: 'SCORE_FAILED', message: `${what} was not scored: ${why}` });
}

/** FAILED_PRECONDITION: this worker's build differs from the one the plan was made with, so its bytes would too. */
export function encoderMismatch(planned: string, here: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ENCODER_MISMATCH',
    message: `the plan was made for encoder build ${planned}, this worker has ${here}`,
    metadata: { planned, here },
  });
}

/** INTERNAL: ffmpeg ended badly for a reason that is not the source's. Retried. */
export function ffmpegFailed(work: string, exit: string, firstLine: string): AppError {
  return new AppError({
    code: Code.INTERNAL,
    reason: 'FFMPEG_FAILED',
    message: `${work} failed (${exit}): ${firstLine || 'no error line'}`,
  });
}

/** UNAVAILABLE: a process made no progress for `ms` and was killed. Retried. */
export function ffmpegStalled(program: string, ms: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'FFMPEG_STALLED',
    message: `${program} made no progress for ${ms} ms and was killed`,
  });
}

/** DEADLINE_EXCEEDED: a process ran longer than its limit and was killed. */
export function ffmpegTimedOut(program: string, ms: number): AppError {
  return new AppError({
    code: Code.DEADLINE_EXCEEDED,
    reason: 'FFMPEG_TIMEOUT',
    message: `${program} ran longer than ${ms} ms and was killed`,
  });
}

/** RESOURCE_EXHAUSTED: a file grew past its cap and the process was killed. */
export function outputTooLarge(program: string, maxBytes: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'OUTPUT_TOO_LARGE',
    message: `${program} wrote a file over ${maxBytes} bytes and was killed`,
  });
}

/** RESOURCE_EXHAUSTED: no space to write; nothing was published and the job can run again. */
export function diskFull(where: string): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'DISK_FULL',
    message: `no space left while writing ${where}; nothing was published, run the job again after making room`,
  });
}

/** INTERNAL: an encoded file does not hold what the plan says. Retried. */
export function encodeRejected(what: string, faults: readonly string[]): AppError {
  return new AppError({
    code: Code.INTERNAL,
    reason: 'ENCODE_REJECTED',
    message: `${what} failed its checks: ${faults.slice(0, 5).join('; ')}`,
  });
}

/** INTERNAL: the stitched title broke a rule; nothing was published. */
export function titleRejected(faults: readonly string[]): AppError {
  return new AppError({
    code: Code.INTERNAL,
    reason: 'VERIFICATION_FAILED',
    message: `the stitched title failed its checks: ${faults.slice(0, 5).join('; ')}`,
  });
}

/** DATA_LOSS: bytes that should be MP4 are not. */
export function mp4Malformed(why: string): AppError {
  return new AppError({ code: Code.DATA_LOSS, reason: 'MP4_MALFORMED', message: `MP4 data is malformed: ${why}` });
}

/** DATA_LOSS: a stored object no longer has the content its key or record promises. */
export function storedObjectChanged(key: string): AppError {
  return new AppError({
    code: Code.DATA_LOSS,
    reason: 'CONTENT_MISMATCH',
    message: `object "${key}" does not have the recorded content`,
    metadata: { key },
  });
}
