/** One cue; times in ms from the title's start. */
export interface Cue {
  readonly startMs: number;
  readonly endMs: number;
  /** Cue settings as WebVTT writes them, e.g. `line:0`; empty = none. */
  readonly settings: string;
  readonly text: string;
}

const timing = /^((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})[ \t]+-->[ \t]+((?:\d{2,}:)?\d{2}:\d{2}\.\d{3})(?:[ \t]+(.*))?$/;
/** Tags and entities that WebVTT knows; everything else that looks like one is text. */
const known = /<\/?(?:b|i|u|ruby|rt)>|&(?:amp|lt|gt|nbsp|lrm|rlm);/g;

function toMs(text: string): number {
  const parts = text.split(':').map(Number);
  return Math.round(parts.reduce((sum, part) => sum * 60 + part, 0) * 1000);
}

/** `hh:mm:ss.mmm`. */
function cueTime(ms: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const rest = String(ms % 1000).padStart(3, '0');
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${rest}`;
}

/** Cue text that is only text and known tags: no markup of the source reaches a page. */
export function cleanCueText(text: string): string {
  const escaped = (plain: string) => plain.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  let out = '';
  let from = 0;
  for (const match of text.matchAll(known)) {
    out += escaped(text.slice(from, match.index)) + match[0];
    from = match.index + match[0].length;
  }
  const lines = (out + escaped(text.slice(from))).split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').join('\n');
}

/**
 * Text of a foreign WebVTT cue without what stands for style, speaker or karaoke: `<v Ann><c.loud>Hi</c>` becomes `Hi`.
 * The words stay, and so do the tags that {@link cleanCueText} knows, though not their classes.
 */
export function plainTags(text: string): string {
  return text
    .replaceAll(/<\/?(?:c|v|lang)(?:[.\s][^>]*)?>|<\d[\d:.]*>/g, '')
    .replaceAll(/<(b|i|u|ruby|rt)[.\s][^>]*>/g, '<$1>');
}

/** Cues of a WebVTT file in order of time; blocks that are none (notes, styles, regions) are left out. */
export function parseWebVtt(file: string): Cue[] {
  const blocks = file.replaceAll(/\r\n?/g, '\n').split(/\n{2,}/);
  const cues = blocks.flatMap((block): Cue[] => {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => timing.test(line));
    const match = lines[at]?.match(timing);
    if (!match) return [];
    const text = cleanCueText(lines.slice(at + 1).join('\n'));
    const settings = (match[3] ?? '').replaceAll(/[^\w:%.,\- ]/g, '').trim();
    return [{ startMs: toMs(match[1] ?? ''), endMs: toMs(match[2] ?? ''), settings, text }];
  });
  return cues.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
}

/** Cues moved by `byMs` and cut to the title; empty ones and those outside it are left out. */
export function fitCues(cues: readonly Cue[], byMs: number, durationMs: number): Cue[] {
  return cues.flatMap((cue) => {
    const startMs = Math.max(0, cue.startMs + byMs);
    const endMs = Math.min(durationMs, cue.endMs + byMs);
    return endMs > startMs && cue.text !== '' ? [{ ...cue, startMs, endMs }] : [];
  });
}

/** A WebVTT file; `header` lines stand below its first one. */
export function writeWebVtt(cues: readonly Cue[], header: readonly string[] = []): string {
  const blocks = cues.map(({ startMs, endMs, settings, text }) => {
    const times = `${cueTime(startMs)} --> ${cueTime(endMs)}`;
    return `${settings === '' ? times : `${times} ${settings}`}\n${text}\n`;
  });
  return [['WEBVTT', ...header].join('\n'), '', ...blocks].join('\n');
}

/**
 * One segment of HLS: every cue that is on screen within it, so one that crosses an edge is in both, with its full
 * times (RFC 8216 §3.5). Media starts at 0 on both clocks.
 */
export function webVttSegment(cues: readonly Cue[], startMs: number, endMs: number): string {
  const own = cues.filter((cue) => cue.startMs < endMs && cue.endMs > startMs);
  return writeWebVtt(own, ['X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000']);
}
