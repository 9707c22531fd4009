import { rational } from '../../workers/transcode/rational.ts';
import type { SourceProbe, SourceVideo } from '../../workers/transcode/source/source-probe.ts';

export function times(count: number, step: (index: number) => number): Float64Array {
  return Float64Array.from({ length: count }, (_, index) => step(index));
}

/** What the probe would say of a plain 720p source at 25 fps, with some of it changed. */
export function probeOf(video: Partial<SourceVideo>): SourceProbe {
  const whole: SourceVideo = {
    streamIndex: 0,
    codec: 'h264',
    width: 1280,
    height: 720,
    rotation: 0,
    pixelAspect: rational(1, 1),
    interlaced: false,
    pixelFormat: 'yuv420p',
    colorSpace: 'bt709',
    colorPrimaries: 'bt709',
    colorTransfer: 'bt709',
    timeBase: rational(1, 12_800),
    claimedRates: [rational(25, 1)],
    ptsTicks: times(132, (index) => index * 512),
    decodeDelayTicks: 0,
    frameBytes: times(132, () => 1000),
    keyframeTicks: times(6, (index) => index * 512 * 25),
    ...video,
  };
  return { demuxer: 'mov', bytes: 1, video: whole, audio: [], subtitles: [], warnings: [] };
}
