/** One turn of an owner of weight 1 is this long; an owner of weight w takes turns of 1/w of it. */
const turnLength = 10;
/** Priorities of BullMQ are 1 (first) to 2,097,152: ten levels of this many turns. */
const turnsPerLevel = 209_715;
const levels = 10;
/** Largest weight of an owner, who gets that many turns where an owner of weight 1 gets one. */
export const maxWeight = 10;

/** For whom turns are taken. */
export interface TurnsRequest {
  readonly queueClass: string;
  /** 0 to 9, 9 soonest. */
  readonly priority: number;
  /** Absent = the nameless owner. */
  readonly owner?: string;
  /** 1 (default) to 10. */
  readonly weight?: number;
  /** Job whose parts they are: those of one owner's jobs take turns, so that a short title does not wait for a long one. */
  readonly parentId?: string;
}

/** Length of a turn of this weight. */
export function turnOf(weight = 1): number {
  return Math.max(1, Math.round(turnLength / Math.min(maxWeight, Math.max(1, weight))));
}

/**
 * BullMQ's priority of a job: the level first, then its turn. Turns beyond the range (a queue that has not been empty
 * for 20,000 rounds) share the last one, in which jobs run first come first served.
 */
export function toBullPriority(priority: number, turn: number): number {
  const { base, lastTurn } = turnRange(priority);
  return base + Math.min(lastTurn, Math.max(1, Math.round(turn)));
}

/** BullMQ's priorities of a level: those from `base` + 1 to `base` + `lastTurn`. */
export function turnRange(priority: number): { readonly base: number; readonly lastTurn: number } {
  return { base: (levels - 1 - priority) * turnsPerLevel, lastTurn: turnsPerLevel };
}

/** The turn of a job that has this BullMQ priority. */
export function toTurn(bullPriority: number): number {
  return ((bullPriority - 1) % turnsPerLevel) + 1;
}
