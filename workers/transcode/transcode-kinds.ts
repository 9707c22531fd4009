import type { JobKind } from '../queue/job-kind.ts';
import { createEncodeAudioKind } from './encode-audio.ts';
import { createEncodeChunkKind } from './encode-chunk.ts';
import { createTranscodeKind } from './transcode.ts';
import type { TranscodeDeps } from './transcode-deps.ts';

/** A kind whose parameters only it knows: run gets what its own parseParams gave. */
function erased<P>(kind: JobKind<P>): JobKind {
  return { ...kind, run: (context, params) => kind.run(context, params as P) };
}

/** The job kinds that make titles: `transcode` and its children `encode-chunk` and `encode-audio`. */
export function createTranscodeKinds(deps: TranscodeDeps): JobKind[] {
  return [erased(createTranscodeKind(deps)), erased(createEncodeChunkKind(deps)), erased(createEncodeAudioKind(deps))];
}
