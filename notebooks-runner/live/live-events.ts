import type { RunEvent } from '../run/run-record.ts';

/** An event of a run as watchers get it. */
export interface LiveEvent {
  /** Grows over all attempts of a job: attempts are a billion apart. */
  readonly sequence: number;
  readonly attempt: number;
  readonly timeMs: number;
  readonly event: RunEvent | { readonly type: 'outputs:dropped'; readonly outputs: number; readonly bytes: number };
}

/** Events per attempt at most; an attempt stores far fewer. */
export const attemptStride = 1_000_000_000;

/** Where the live events of notebook jobs are stored. */
export const livePrefix = 'notebooks/live/';

/** Prefix of the segments of one job; ids hold no slash. */
export function livePrefixOf(jobId: string): string {
  return `${livePrefix}${jobId}/`;
}

/** Object key of a segment, in order of its first event. */
export function liveSegmentKey(jobId: string, firstSequence: number): string {
  return `${livePrefixOf(jobId)}${String(firstSequence).padStart(16, '0')}.ndjson`;
}

/** Events as lines of JSON. */
export function encodeLiveEvents(events: readonly LiveEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** The events of a segment. */
export function decodeLiveEvents(bytes: Uint8Array): LiveEvent[] {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LiveEvent);
}
