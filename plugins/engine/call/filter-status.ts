import type { FilterType } from '../filter.ts';

/**
 * What became of a filter in one call, as small numbers: a record of a call is a byte per filter.
 * `pending` and `applies` are states on the way; at the end of a call they read as skipped and ran.
 */
export const Status = {
  pending: 0,
  applies: 1,
  ran: 2,
  answered: 3,
  refused: 4,
  threw: 5,
  badResult: 6,
  overloaded: 7,
  aborted: 8,
  timedOut: 9,
  disabled: 10,
  skippedService: 11,
  skippedMethod: 12,
  skippedKind: 13,
  skippedKnown: 14,
  skippedMetadata: 15,
  skippedScope: 16,
  skippedPercent: 17,
  skippedShouldRun: 18,
  notReached: 19,
  skippedCanary: 20,
  skippedQuarantine: 21,
  skippedPriority: 22,
  skippedMessageType: 23,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** Below it a filter takes part in the call. */
export const firstSkip = Status.disabled;

/** The status in words; with why, where there is more than one cause. */
const words: readonly string[] = [
  'skipped(not_reached)',
  'ran',
  'ran',
  'short_circuited(answered)',
  'short_circuited(refused)',
  'failed(threw)',
  'failed(bad_result)',
  'failed(overloaded)',
  'failed(call_aborted)',
  'timed_out',
  'disabled',
  'skipped(service)',
  'skipped(method)',
  'skipped(kind)',
  'skipped(known)',
  'skipped(metadata)',
  'skipped(scope)',
  'skipped(percent)',
  'skipped(should_run)',
  'skipped(not_reached)',
  'skipped(canary)',
  'skipped(quarantine)',
  'skipped(priority)',
  'skipped(message_type)',
];

/** What a filter came to in a call, without the detail. */
export type FilterStatusName = 'ran' | 'skipped' | 'failed' | 'timed_out' | 'short_circuited' | 'disabled';

/** What one filter did in one call. */
export interface FilterTrace {
  readonly id: string;
  readonly version: string;
  readonly type: FilterType;
  readonly status: FilterStatusName;
  /** The criterion that skipped it, or the kind of failure; empty when the status says all. */
  readonly detail: string;
  /** Time in its hooks, waits included, in nanoseconds. */
  readonly ns: number;
  /**
   * The part of `ns` in which it waited, in nanoseconds: from the moment a hook gave back its promise to the moment the
   * promise was settled or given up. The rest it held the thread.
   */
  readonly waitNs: number;
}

const wordPattern = /^([a-z_]+)(?:\(([a-z_]+)\))?$/;

interface StatusWords {
  readonly status: FilterStatusName;
  readonly detail: string;
}

function readWord(word: string): StatusWords {
  const match = wordPattern.exec(word);
  return { status: (match?.[1] ?? 'skipped') as FilterStatusName, detail: match?.[2] ?? '' };
}

const wordTable = words.map(readWord);
const unknownWords = readWord('skipped(not_reached)');

/** Status and detail of a status number; allocates nothing. */
export function statusWords(status: number): StatusWords {
  return wordTable[status] ?? unknownWords;
}

/** Status and detail of a status number as in a filter line: `skipped(scope)`. */
export function statusText(status: number): string {
  return words[status] ?? 'skipped(not_reached)';
}

/** What a filter's entry in a filter line begins with. */
export function linePrefix({ id, version, type }: Pick<FilterTrace, 'id' | 'version' | 'type'>): string {
  return `${id}@${version}:${type}=`;
}

/** Times as in a filter line: `ns`, or `ns/waitNs` of a filter that waited. */
export function timesText(ns: number, waitNs: number): string {
  return waitNs > 0 ? `${ns}/${waitNs}` : `${ns}`;
}
