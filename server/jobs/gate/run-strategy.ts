/** What happens when a run is asked for while others of its scope wait or run; see RunStrategy of the contract. */
export interface RunStrategy {
  readonly kind:
    | 'sequential'
    | 'strict_sequential'
    | 'first_only'
    | 'last_only'
    | 'serial_latest_only'
    | 'parallel'
    /** Only limits hold its runs back. */
    | 'unlimited';
  /** Of `parallel`. */
  readonly maxParallel?: number;
}

/** Why the gate ends a run that its strategy does not let run. */
export type DroppedReason = 'RUN_IN_PROGRESS' | 'RUN_SUPERSEDED';

/** Runs of one scope: one row of the records, so that several servers decide one after the other. */
export interface GateRow {
  readonly strategy: RunStrategy;
  /** Ids of runs that were let through and have not ended. */
  readonly running: readonly string[];
  /** Ids of runs that wait, next one first. */
  readonly waiting: readonly string[];
  /** Runs to be ended, of which some may still run. */
  readonly dropped: Readonly<Record<string, DroppedReason>>;
  /** Failed run of `strict_sequential` that holds back the others. */
  readonly blockedBy?: string;
}

/** The row of a scope that has no runs. */
export function emptyRow(strategy: RunStrategy): GateRow {
  return { strategy, running: [], waiting: [], dropped: {} };
}

/** The strategy as it is now. Only `strict_sequential` is held back by a failed run. */
export function withStrategy({ blockedBy, ...row }: GateRow, strategy: RunStrategy): GateRow {
  const isHeld = blockedBy !== undefined && strategy.kind === 'strict_sequential';
  return { ...row, strategy, ...(isHeld ? { blockedBy } : {}) };
}

/** A run arrives; the same one again changes nothing. A restart of a failed run goes first. */
export function arrive(row: GateRow, id: string, restartOf?: string): GateRow {
  const { running, waiting } = row;
  if (isIn(row, id)) return row;
  switch (row.strategy.kind) {
    case 'first_only':
      if (running.length + waiting.length === 0) return { ...row, waiting: [id] };
      return drop(row, [id], 'RUN_IN_PROGRESS');
    case 'last_only':
      return { ...drop(row, [...running, ...waiting], 'RUN_SUPERSEDED'), waiting: [id] };
    case 'serial_latest_only':
      return { ...drop(row, waiting, 'RUN_SUPERSEDED'), waiting: [id] };
    default: {
      if (restartOf === undefined || restartOf !== row.blockedBy) return { ...row, waiting: [...waiting, id] };
      const { blockedBy: _lifted, ...rest } = row;
      return { ...rest, waiting: [id, ...waiting] };
    }
  }
}

/** A run has ended, or is no more. */
export function depart(row: GateRow, id: string, failed: boolean): GateRow {
  const { [id]: _dropped, ...dropped } = row.dropped;
  const blocks = failed && row.strategy.kind === 'strict_sequential' && row.running.includes(id);
  return {
    ...row,
    dropped,
    running: row.running.filter((other) => other !== id),
    waiting: row.waiting.filter((other) => other !== id),
    ...(blocks ? { blockedBy: id } : {}),
  };
}

/** A waiting run is let through. */
export function letThrough(row: GateRow, id: string): GateRow {
  return { ...row, running: [...row.running, id], waiting: row.waiting.filter((other) => other !== id) };
}

/** How many waiting runs the strategy would let through now. */
export function roomOf({ strategy, running, blockedBy }: GateRow): number {
  if (blockedBy !== undefined) return 0;
  if (strategy.kind === 'unlimited') return Number.POSITIVE_INFINITY;
  return Math.max(0, (strategy.kind === 'parallel' ? (strategy.maxParallel ?? 20) : 1) - running.length);
}

/** True for a run that was let through, waits or is to be ended. */
export function isIn({ running, waiting, dropped }: GateRow, id: string): boolean {
  return running.includes(id) || waiting.includes(id) || Object.hasOwn(dropped, id);
}

/** True when nothing runs, waits or is blocked, so that the row need not be kept. */
export function isEmpty(row: GateRow): boolean {
  return row.running.length + row.waiting.length + Object.keys(row.dropped).length === 0 && row.blockedBy === undefined;
}

function drop(row: GateRow, ids: readonly string[], reason: DroppedReason): GateRow {
  return { ...row, dropped: { ...row.dropped, ...Object.fromEntries(ids.map((id) => [id, reason])) } };
}
