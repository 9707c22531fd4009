import { type Code, codeName } from '../engine/filter.ts';

/** One try at an origin. */
export interface Attempt {
  readonly cluster: string;
  readonly address: string;
  readonly zone: string;
  /** A second try made beside the first, not after it. */
  readonly isHedge: boolean;
  /** Undefined while it runs, and when it was left because another one won. */
  code: Code | undefined;
  reason: string;
  /** To its end, in ms. */
  durationMs: number;
}

/** The tries of one call, in the order in which they began. */
export type AttemptLog = Attempt[];

/** Tries kept per call. */
const maxAttempts = 32;

/** Writes the try down, unless there are too many already. */
export function addAttempt(log: AttemptLog, attempt: Attempt): void {
  if (log.length < maxAttempts) log.push(attempt);
}

/** One line: `1 catalog/10.0.0.1:50051@a UNAVAILABLE(ORIGIN_DROPPED) 12.5ms; 2 …`. */
export function formatAttempts(log: AttemptLog): string {
  return log
    .map((attempt, index) => {
      const { cluster, address, zone, code, reason, durationMs, isHedge } = attempt;
      const where = `${cluster}/${address}${zone === '' ? '' : `@${zone}`}`;
      const name = code === undefined ? 'LEFT' : codeName(code);
      const why = reason === '' || reason === name ? '' : `(${reason})`;
      return `${index + 1} ${where} ${isHedge ? 'hedge ' : ''}${name}${why} ${durationMs.toFixed(1)}ms`;
    })
    .join('; ');
}
