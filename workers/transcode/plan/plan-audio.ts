import { languageTag } from '../source/language-tag.ts';
import type { SourceAudio } from '../source/source-probe.ts';

/** A codec that audio tracks are made in. */
export type AudioCodec = 'aac' | 'opus';

/** What audio tracks say they are for: DASH roles, and HLS characteristics where one is meant for. */
export type AudioPurpose = 'main' | 'alternate' | 'commentary' | 'description';

/** One audio track to make of one audio stream. */
export type PlannedAudio = {
  /** Unique in the title, also its folder: `main`, `en`, `en-2`, `en-5.1`, `en-opus`. */
  readonly id: string;
  readonly streamIndex: number;
  /** BCP 47, empty when unknown. */
  readonly language: string;
  /** What the source calls it; empty = nothing. */
  readonly title: string;
  readonly purpose: AudioPurpose;
  readonly sourceChannels: number;
  readonly sourceLayout: string;
  readonly codec: AudioCodec;
  readonly channels: 2 | 6;
  readonly bitrateKbps: number;
  /** Integrated loudness to bring it to, EBU R 128; null = as it is. */
  readonly loudnessLufs: number | null;
};

/** What a title's audio shall be. */
export type AudioChoice = {
  /** AAC is always there: it is what every player has. */
  readonly opus: boolean;
  /** Default -23. */
  readonly loudnessLufs: number | null;
};

/** For titles that say nothing of it: AAC alone, at the loudness of broadcasts (EBU R 128). */
export const defaultAudio: AudioChoice = { opus: false, loudnessLufs: -23 };

/** More streams than this are left out, and said so. */
export const maxAudioStreams = 32;

function purposeOf(track: SourceAudio, isFirst: boolean): AudioPurpose {
  if (track.isCommentary) return 'commentary';
  if (track.isDescription) return 'description';
  return isFirst ? 'main' : 'alternate';
}

/** The stream that the file marks as default first, then as they lie in the file; commentaries are never first. */
function inOrder(tracks: readonly SourceAudio[]): SourceAudio[] {
  const rank = (track: SourceAudio) => (track.isCommentary || track.isDescription ? 2 : track.isDefault ? 0 : 1);
  return [...tracks].sort((a, b) => rank(a) - rank(b));
}

/**
 * Every audio stream as a stereo AAC track; beside it 5.1 AAC where the source has surround, and stereo Opus where
 * that is asked for.
 */
export function planAudio(tracks: readonly SourceAudio[], choice: AudioChoice): PlannedAudio[] {
  const taken = new Map<string, number>();
  return inOrder(tracks.slice(0, maxAudioStreams)).flatMap((track, index) => {
    const language = languageTag(track.language);
    const name = language.toLowerCase() || 'main';
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    const id = count === 1 ? name : `${name}-${count}`;
    const shared = {
      streamIndex: track.streamIndex,
      language,
      title: track.title,
      purpose: purposeOf(track, index === 0),
      sourceChannels: track.channels,
      sourceLayout: track.layout,
      loudnessLufs: choice.loudnessLufs,
    };
    const stereo: PlannedAudio = { ...shared, id, codec: 'aac', channels: 2, bitrateKbps: 128 };
    const surround: PlannedAudio = { ...shared, id: `${id}-5.1`, codec: 'aac', channels: 6, bitrateKbps: 384 };
    const opus: PlannedAudio = { ...shared, id: `${id}-opus`, codec: 'opus', channels: 2, bitrateKbps: 96 };
    return [stereo, ...(track.channels >= 6 ? [surround] : []), ...(choice.opus ? [opus] : [])];
  });
}

/** e.g. `aac-stereo`, `aac-5.1`, `opus-stereo`. */
export function audioProfile({ codec, channels }: PlannedAudio): string {
  return `${codec}-${channels === 6 ? '5.1' : 'stereo'}`;
}
