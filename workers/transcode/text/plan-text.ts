import { languageTag } from '../source/language-tag.ts';
import type { SourceText } from '../source/source-probe.ts';

/** One subtitle stream to publish as WebVTT. */
export type PlannedText = {
  /** Unique in the title, also its folder: `main`, `en`, `en-2`. */
  readonly id: string;
  readonly streamIndex: number;
  /** As ffmpeg names it. */
  readonly codec: string;
  /** BCP 47, empty when unknown. */
  readonly language: string;
  /** What the source calls it; empty = nothing. */
  readonly title: string;
  /** Shown also by viewers who want no subtitles: foreign signs and words. */
  readonly forced: boolean;
  /** For people who cannot hear: sounds are written too. */
  readonly hearingImpaired: boolean;
};

/** More streams than this are left out, and said so. */
const maxTextStreams = 100;

/** Text that ffmpeg can turn into WebVTT. */
const textCodecs = new Set(['subrip', 'srt', 'mov_text', 'webvtt', 'ass', 'ssa', 'text', 'microdvd', 'subviewer']);
/** Pictures, which no player takes as text: reading them needs eyes. */
const imageCodecs = new Set(['dvd_subtitle', 'hdmv_pgs_subtitle', 'dvb_subtitle', 'xsub']);

/** Every text stream; what cannot be published is named with the reason in `refused`. */
export function planText(streams: readonly SourceText[]): { planned: PlannedText[]; refused: string[] } {
  const planned: PlannedText[] = [];
  const refused: string[] = [];
  const taken = new Map<string, number>();
  for (const stream of streams) {
    const what = `subtitle stream ${stream.streamIndex} (${stream.codec || 'unknown'}${stream.language ? `, ${stream.language}` : ''})`;
    if (imageCodecs.has(stream.codec)) refused.push(`${what} left out: it is made of pictures, not of text`);
    else if (!textCodecs.has(stream.codec)) refused.push(`${what} left out: its format cannot be read as text`);
    else if (planned.length >= maxTextStreams) refused.push(`${what} left out: ${maxTextStreams} are the most`);
    else {
      const language = languageTag(stream.language);
      const name = language.toLowerCase() || 'main';
      const count = (taken.get(name) ?? 0) + 1;
      taken.set(name, count);
      const { streamIndex, codec, title, forced, hearingImpaired } = stream;
      const id = count === 1 ? name : `${name}-${count}`;
      planned.push({ id, streamIndex, codec, language, title, forced, hearingImpaired });
    }
  }
  return { planned, refused };
}
