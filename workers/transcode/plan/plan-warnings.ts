import type { SourceProbe } from '../source/source-probe.ts';
import { planText } from '../text/plan-text.ts';
import { maxAudioStreams } from './plan-audio.ts';

interface WarningInput {
  readonly probe: SourceProbe;
  /** How long the last picture is shown because the audio goes on, in seconds. */
  readonly heldSeconds: number;
  /** True where the job asks for HDR rungs. */
  readonly keepsHdr: boolean;
}

/** Most warnings of a source that are kept. */
const maxWarnings = 20;

/** What is odd of a source and no reason to refuse it, for people. */
export function planWarnings({ probe, heldSeconds, keepsHdr }: WarningInput): string[] {
  const { video, audio, subtitles, warnings } = probe;
  const unmet = keepsHdr && !video.hdr ? ['hdr: the source is SDR, so there is nothing to keep'] : [];
  const held = heldSeconds > 0 ? [`the last picture is held for ${heldSeconds.toFixed(2)} s: the audio goes on`] : [];
  const silent =
    audio.length > maxAudioStreams ? [`${audio.length} audio streams: ${maxAudioStreams} are the most`] : [];
  return [...unmet, ...held, ...[...planText(subtitles).refused, ...silent, ...warnings].slice(0, maxWarnings)];
}
