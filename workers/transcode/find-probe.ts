import { resolveFfmpeg } from './ffmpeg-binaries.ts';

/**
 * Path of the ffprobe that the transcode workers use, for whoever wants to look into their output.
 * Errors as resolveFfmpeg.
 */
export async function findProbe(config: {
  readonly FFMPEG: string | undefined;
  readonly FFPROBE: string | undefined;
}): Promise<string> {
  const searchPath = process.env['PATH'] ?? '';
  const binaries = await resolveFfmpeg({ ffmpegPath: config.FFMPEG, ffprobePath: config.FFPROBE, searchPath });
  return binaries.ffprobe;
}
