import { codecTraits, videoCodecs } from '../codecs/video-codec.ts';
import { type FfmpegLocations, resolveFfmpeg } from './ffmpeg-binaries.ts';

/**
 * Queue classes of codecs that this worker's ffmpeg has no encoder for: it should get no slots for them, so that their
 * jobs wait for a worker that can. Empty where ffmpeg is missing or unsuitable: a job that meets that says so.
 */
export async function unservedClasses(locations: FfmpegLocations): Promise<string[]> {
  const binaries = await resolveFfmpeg(locations).catch(() => undefined);
  if (binaries === undefined) return [];
  const lacking = videoCodecs.map(codecTraits).filter(({ encoders }) => {
    return !encoders.some((encoder) => binaries.encoders.has(encoder));
  });
  return lacking.map(({ queueClass }) => queueClass);
}
