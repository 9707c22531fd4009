import { downloadSeconds, type ThroughputTrace } from './throughput-trace.ts';

/** One rung as a player sees it. */
export interface Rendition {
  readonly averageBps: number;
  readonly peakBps: number;
  /** How it looks, in any scale. */
  readonly score: number;
  /** Bytes of each segment. */
  readonly segmentBytes: readonly number[];
}

/** A title to play: renditions by rising bitrate, all cut alike. */
export interface PlayedTitle {
  readonly segmentSeconds: readonly number[];
  readonly renditions: readonly Rendition[];
}

/** What a rule may look at before it chooses a segment's rendition. */
export interface AbrState {
  readonly renditions: readonly Rendition[];
  readonly bufferSeconds: number;
  /** Length of the segment to choose. */
  readonly segmentSeconds: number;
  /** Rendition of the segment before; undefined for the first. */
  readonly current: number | undefined;
}

/** An adaptation rule of one session. */
export interface AbrRule {
  readonly name: string;
  /** Told of every download: how long it took and how fast it was. */
  observe(seconds: number, bps: number): void;
  /** Index of a rendition. */
  choose(state: AbrState): number;
}

export interface SessionReport {
  /** Until the first segment is there. */
  readonly startSeconds: number;
  readonly stalls: number;
  readonly stallSeconds: number;
  /** Stalled part of the time from the first picture to the last. */
  readonly rebufferRatio: number;
  /** Over the time played. */
  readonly meanScore: number;
  readonly meanBps: number;
  readonly switches: number;
}

/** Most that players keep, in seconds. */
const maxBufferSeconds = 30;
/** Shorter waits are rounding, not stalls. */
const leastStallSeconds = 1e-9;

/**
 * Plays a title once over a link. One segment is fetched after the other; playback begins with the first and stands
 * still while the buffer is empty; fetching waits while the buffer has no room for the next segment.
 */
export function simulateSession(title: PlayedTitle, trace: ThroughputTrace, rule: AbrRule): SessionReport {
  const { renditions } = title;
  let now = 0;
  let bufferSeconds = 0;
  let current: number | undefined;
  const seen = { startSeconds: 0, stalls: 0, stallSeconds: 0, score: 0, bits: 0, played: 0, switches: 0 };
  title.segmentSeconds.forEach((segmentSeconds, segment) => {
    const wait = Math.max(0, Math.min(bufferSeconds, bufferSeconds + segmentSeconds - maxBufferSeconds));
    now += wait;
    bufferSeconds -= wait;
    const index = rule.choose({ renditions, bufferSeconds, segmentSeconds, current });
    const rendition = renditions[index];
    if (!rendition) throw new RangeError(`rule ${rule.name} chose rendition ${index} of ${renditions.length}`);
    const bytes = rendition.segmentBytes[segment] ?? 0;
    const took = downloadSeconds(trace, now, bytes);
    if (took > 0) rule.observe(took, (bytes * 8) / took);
    now += took;
    const stalled = took - bufferSeconds;
    if (segment === 0) {
      seen.startSeconds = took;
    } else if (stalled > leastStallSeconds) {
      seen.stalls++;
      seen.stallSeconds += stalled;
    }
    bufferSeconds = Math.max(0, segment === 0 ? 0 : bufferSeconds - took) + segmentSeconds;
    if (current !== undefined && current !== index) seen.switches++;
    current = index;
    seen.score += rendition.score * segmentSeconds;
    seen.bits += bytes * 8;
    seen.played += segmentSeconds;
  });
  const { startSeconds, stalls, stallSeconds, switches, played } = seen;
  const rebufferRatio = stallSeconds / (played + stallSeconds);
  const means = { meanScore: seen.score / played, meanBps: seen.bits / played };
  return { startSeconds, stalls, stallSeconds, rebufferRatio, ...means, switches };
}
