import type { Rung } from '../plan/ladder.ts';
import { hdrTags, x265HdrParams } from '../source/hdr.ts';

/** Encoder threads of each rung: part of the content, because another count gives other bytes. */
const encoderThreads = 1;

/** Level as x265 and SVT-AV1 number it: `3.1` is 31. */
function levelNumber(level: string): string {
  return level.replace('.', '');
}

function x264(rung: Rung, gop: number): string[] {
  return [
    ...['-preset', rung.preset, '-profile:v', rung.profile, '-level:v', rung.level, '-crf', String(rung.crf)],
    ...['-maxrate', `${rung.maxrateKbps}k`, '-bufsize', `${rung.bufsizeKbps}k`],
    ...['-g', String(gop), '-keyint_min', String(gop), '-sc_threshold', '0', '-flags:v', '+cgop+bitexact'],
  ];
}

/** One thread in all: pools and frame threads off, no wavefronts, so that the same chunk gives the same bytes. */
function x265(rung: Rung, gop: number): string[] {
  const params = [
    ...[`keyint=${gop}`, `min-keyint=${gop}`, 'scenecut=0', 'open-gop=0', 'repeat-headers=0', 'info=0'],
    ...['pools=none', 'frame-threads=1', 'wpp=0', 'log-level=error', `level-idc=${levelNumber(rung.level)}`],
    ...(rung.hdr ? x265HdrParams(rung.hdr) : []),
  ];
  return [
    ...['-preset', rung.preset, '-profile:v', rung.profile, '-crf', String(rung.crf), '-tag:v', 'hvc1'],
    ...['-maxrate', `${rung.maxrateKbps}k`, '-bufsize', `${rung.bufsizeKbps}k`, '-flags:v', '+bitexact'],
    ...['-x265-params', params.join(':'), ...(rung.hdr ? hdrTags(rung.hdr) : [])],
  ];
}

/** libvpx in constrained quality: `-crf` is the aim, `-b:v` the most that it may take. */
function vpx(rung: Rung, gop: number): string[] {
  return [
    ...['-deadline', 'good', '-cpu-used', rung.preset, '-row-mt', '0', '-tile-columns', '0', '-crf', String(rung.crf)],
    ...['-b:v', `${rung.maxrateKbps}k`, '-bufsize', `${rung.bufsizeKbps}k`, '-flags:v', '+bitexact'],
    ...['-g', String(gop), '-keyint_min', String(gop)],
    ...(rung.leastQuantizer === undefined ? [] : ['-qmin', String(rung.leastQuantizer)]),
  ];
}

/** `irefresh-type=2` makes every refresh a key frame (closed GOP); SVT-AV1 wants its threads told by `lp`. */
function svt(rung: Rung, gop: number): string[] {
  const params = `keyint=${gop}:irefresh-type=2:scd=0:lp=${encoderThreads}`;
  return [
    ...['-preset', rung.preset, '-crf', String(rung.crf), '-g', String(gop), '-flags:v', '+bitexact'],
    ...['-maxrate', `${rung.maxrateKbps}k`, '-bufsize', `${rung.bufsizeKbps}k`, '-svtav1-params', params],
  ];
}

function aom(rung: Rung, gop: number): string[] {
  return [
    ...['-cpu-used', rung.preset, '-row-mt', '0', '-crf', String(rung.crf), '-b:v', `${rung.maxrateKbps}k`],
    ...['-bufsize', `${rung.bufsizeKbps}k`, '-g', String(gop), '-keyint_min', String(gop), '-flags:v', '+bitexact'],
  ];
}

const settings = {
  libx264: x264,
  libx265: x265,
  'libvpx-vp9': vpx,
  libsvtav1: svt,
  'libaom-av1': aom,
} as const;

/** Options that make a rung: closed GOPs of a fixed length, capped CRF, one thread, nothing left to a default. */
export function encoderArguments(rung: Rung, gopFrames: number): string[] {
  const own = settings[rung.encoder](rung, gopFrames);
  return ['-c:v', rung.encoder, ...own, '-threads:v', String(encoderThreads)];
}
