import type { CostReport } from './cost-report.ts';
import type { VerificationReport } from './verify-title.ts';

/** One file of a title as the manifest service registers it: a track of many segments, or a manifest. */
export type EncodeSetFile = {
  /** Unique in the set: `video-720p`, `audio-en`, `hls`, `dash`. */
  readonly id: string;
  readonly kind: 'video' | 'audio' | 'text' | 'image' | 'manifest';
  /** e.g. `h264-high-720p`, `aac-stereo`, `hls`. */
  readonly profile: string;
  /** RFC 6381; empty for manifests. */
  readonly codec: string;
  /** Measured mean; 0 for manifests. */
  readonly bitrateBps: number;
  /** Measured peak; 0 for manifests. */
  readonly peakBps: number;
  /** BCP 47; empty when it has none. */
  readonly language: string;
  readonly width: number;
  readonly height: number;
  /** Init segment and media segments together. */
  readonly totalBytes: number;
  /** Over the init segment and the media segments in order. */
  readonly sha256: string;
  /** Key prefix of a track's objects, ending in `/`; the key itself for a manifest. */
  readonly objectKey: string;
  /** Media segments; 0 for manifests. */
  readonly segmentCount: number;
};

/** One stored object of a set. */
export type EncodeSetObject = { readonly key: string; readonly bytes: number; readonly sha256: string };

/** Commit record of a title version: written last and never changed, so whoever finds it finds every object of it. */
export type EncodeSet = {
  readonly format: 1;
  /** `titles/{title}`. */
  readonly title: string;
  /** `v` and 16 hex digits of the digest of plan and packager. */
  readonly version: string;
  readonly sourceSha256: string;
  readonly frameCount: number;
  /** e.g. `25/1`. */
  readonly frameRate: string;
  readonly durationSeconds: number;
  readonly hlsObjectKey: string;
  readonly dashObjectKey: string;
  readonly verificationObjectKey: string;
  /** Why the title has these rungs: `ladder.json`, beside its plot `ladder.svg` where trials chose them. */
  readonly ladderObjectKey: string;
  /** Key of the plan it was made by. */
  readonly planObjectKey: string;
  /** Odd things that encoding met and mended. */
  readonly notes: readonly string[];
  readonly totalBytes: number;
  readonly files: readonly EncodeSetFile[];
  /** Every object but this record. */
  readonly objects: readonly EncodeSetObject[];
};

/** Result of a `transcode` job. */
export type TranscodeResult = {
  readonly title: string;
  readonly version: string;
  /** Key of the commit record. */
  readonly encodeSetKey: string;
  readonly frameCount: number;
  readonly frameRate: string;
  readonly durationSeconds: number;
  readonly totalBytes: number;
  readonly objectCount: number;
  readonly hlsObjectKey: string;
  readonly dashObjectKey: string;
  readonly ladderObjectKey: string;
  readonly files: readonly EncodeSetFile[];
  /** What the probe found odd and not worth a refusal, and what encoding met and mended. */
  readonly warnings: readonly string[];
  readonly verification: VerificationReport;
  /** Null for a version whose cost was not kept. */
  readonly cost: CostReport | null;
};
