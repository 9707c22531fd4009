import { codecUnavailable } from '../errors.ts';

/** Codecs of video rungs, in the order players are offered them: what plays everywhere comes first. */
export const videoCodecs = ['h264', 'hevc', 'vp9', 'av1'] as const;

/** A codec that rungs are made in. */
export type VideoCodec = (typeof videoCodecs)[number];

/** An encoder of ffmpeg that this folder has settings for. */
export type VideoEncoder = 'libx264' | 'libx265' | 'libvpx-vp9' | 'libsvtav1' | 'libaom-av1';

interface CodecTraits {
  /** Job kind that encodes its chunks. */
  readonly kind: string;
  /** Queue class of that kind: a worker that should not take a codec gives its class no slots. */
  readonly queueClass: string;
  /** Encoders in order of preference. */
  readonly encoders: readonly VideoEncoder[];
  /** CRF that looks like this CRF of x264: scales differ by codec. */
  readonly fromH264Crf: (crf: number) => number;
  /** Bits for about the same quality, by those of H.264: scales the caps of a ladder made for it. */
  readonly relativeRate: number;
  readonly maxCrf: number;
  /** Smallest difference of CRF that the encoders know. */
  readonly crfStep: number;
  /** CRF values of trial encodes. */
  readonly trialCrfs: readonly number[];
}

const traits: Readonly<Record<VideoCodec, CodecTraits>> = {
  h264: {
    kind: 'encode-chunk',
    queueClass: 'encode',
    encoders: ['libx264'],
    fromH264Crf: (crf) => crf,
    relativeRate: 1,
    maxCrf: 51,
    crfStep: 0.5,
    trialCrfs: [20, 25, 30, 36, 42],
  },
  hevc: {
    kind: 'encode-chunk-hevc',
    queueClass: 'encode-hevc',
    encoders: ['libx265'],
    fromH264Crf: (crf) => Math.min(51, crf + 3),
    relativeRate: 0.7,
    maxCrf: 51,
    crfStep: 0.5,
    trialCrfs: [22, 27, 32, 38, 44],
  },
  vp9: {
    kind: 'encode-chunk-vp9',
    queueClass: 'encode-vp9',
    encoders: ['libvpx-vp9'],
    fromH264Crf: (crf) => Math.min(63, Math.round(1.4 * crf + 1)),
    relativeRate: 0.7,
    maxCrf: 63,
    crfStep: 1,
    trialCrfs: [27, 34, 42, 50, 58],
  },
  av1: {
    kind: 'encode-chunk-av1',
    queueClass: 'encode-av1',
    encoders: ['libsvtav1', 'libaom-av1'],
    fromH264Crf: (crf) => Math.min(63, Math.round(1.5 * crf + 1)),
    relativeRate: 0.6,
    maxCrf: 63,
    crfStep: 1,
    trialCrfs: [28, 36, 44, 52, 60],
  },
};

/** What sets the codec apart: its queue, its encoders, its scales of quality and rate. */
export function codecTraits(codec: VideoCodec): CodecTraits {
  return traits[codec];
}

/** The encoder of this build for a codec. FAILED_PRECONDITION CODEC_UNAVAILABLE. */
export function encoderFor(codec: VideoCodec, available: ReadonlySet<string>): VideoEncoder {
  const { encoders } = traits[codec];
  const found = encoders.find((name) => available.has(name));
  if (found === undefined) throw codecUnavailable(codec, encoders);
  return found;
}
