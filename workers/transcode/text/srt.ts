import { type Cue, cleanCueText } from './webvtt.ts';

const timing = /^(\d+):(\d{2}):(\d{2}),(\d{3}) --> (\d+):(\d{2}):(\d{2}),(\d{3})$/;

function toMs(parts: readonly (string | undefined)[]): number {
  const [hours = 0, minutes = 0, seconds = 0, ms = 0] = parts.map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
}

/** Cue settings of the nine places of SubStation Alpha, which are those of a number pad; 2 is where cues are anyway. */
function settingsOf(place: number): string {
  const line = ['', 'line:50%', 'line:0'][Math.floor((place - 1) / 3)] ?? '';
  const align = { 1: 'align:left', 0: 'align:right' }[place % 3] ?? '';
  return [line, align].filter((setting) => setting !== '').join(' ');
}

/** A line of vector graphics: SubStation Alpha draws with text, and ffmpeg hands it on as such. */
const drawing = /^m(?: -?\d+(?:\.\d+)?){2}(?: [mnlbspc]| -?\d+(?:\.\d+)?)*$/;

function cueOf(times: RegExpMatchArray, lines: readonly string[]): Cue {
  const text = lines.filter((line) => !drawing.test(line.trim())).join('\n');
  const place = Number(text.match(/\{\\an([1-9])\}/)?.[1] ?? 2);
  const plain = text.replaceAll(/\{\\[^{}]*\}|<\/?font\b[^>]*>/g, '');
  const [startMs, endMs] = [toMs(times.slice(1, 5)), toMs(times.slice(5, 9))];
  return { startMs, endMs, settings: settingsOf(place), text: cleanCueText(plain) };
}

/**
 * Cues of SRT as ffmpeg writes it, in order of time. It keeps the place on the screen (`{\an8}`), which its WebVTT
 * lacks, and blank lines within a cue, which end one in WebVTT: the next cue begins where a number stands over times.
 */
export function parseSrt(file: string): Cue[] {
  const lines = file.replaceAll(/\r\n?/g, '\n').split('\n');
  const starts = lines.flatMap((line, at) => {
    const times = line.match(timing);
    return times && /^\d+$/.test(lines[at - 1] ?? '') ? [{ at, times }] : [];
  });
  const cues = starts.map(({ at, times }, index) => {
    const next = starts[index + 1];
    return cueOf(times, lines.slice(at + 1, next ? next.at - 1 : undefined));
  });
  return cues.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
}
