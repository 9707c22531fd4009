import type { AppError } from '../../server/core/errors.ts';
import type { JobKind } from '../queue/job-kind.ts';
import { videoCodecs } from './codecs/video-codec.ts';
import { createEncodeAudioKind } from './encode/encode-audio.ts';
import { createEncodeChunkKind } from './encode/encode-chunk.ts';
import { createFitness } from './fitness.ts';
import { createMakeThumbnailsKind } from './images/make-thumbnails-kind.ts';
import { createScoreTitleKind } from './quality/score-title-kind.ts';
import { createTrialKind } from './quality/trial-kind.ts';
import { createExtractTextKind } from './text/extract-text-kind.ts';
import { createTranscodeKind } from './transcode.ts';
import type { TranscodeDeps } from './transcode-deps.ts';

/** A kind whose parameters only it knows: run and whyUnfit get what its own parseParams gave. */
function erased<P>(kind: JobKind<P>, whyUnfit: (params: P) => Promise<AppError | undefined>): JobKind {
  return {
    ...kind,
    run: (context, params) => kind.run(context, params as P),
    whyUnfit: (params) => whyUnfit(params as P),
  };
}

/**
 * The job kinds that make titles: `transcode` and its children (`encode-audio`, `extract-text`,
 * `make-thumbnails`, one `encode-chunk` kind a codec,
 * `trial-encode`), and `score-title`, which judges a published version.
 */
export function createTranscodeKinds(deps: TranscodeDeps): JobKind[] {
  const fitness = createFitness(deps);
  return [
    erased(createTranscodeKind(deps), fitness.forTitle),
    ...videoCodecs.map((codec) => erased(createEncodeChunkKind(deps, codec), fitness.forPart)),
    erased(createEncodeAudioKind(deps), fitness.forPart),
    erased(createExtractTextKind(deps), fitness.forPart),
    erased(createMakeThumbnailsKind(deps), fitness.forPart),
    erased(createTrialKind(deps), fitness.forPart),
    erased(createScoreTitleKind(deps), fitness.forScore),
  ];
}
