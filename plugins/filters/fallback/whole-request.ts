import type { Call, Clock } from '../../engine/filter.ts';
import type { Replay } from '../../origins/replay.ts';

/** Callers of methods that are not known here may have more to send: so long their end is waited for, in ms. */
const endWaitMs = 100;

/**
 * Reads what a call that failed early has not read, and tells whether all requests are kept then. Streams of requests
 * that have not ended are left alone: they may go on for ever.
 */
export async function isWhole({ kind, known }: Call, replay: Replay, clock: Clock): Promise<boolean> {
  if (replay.isComplete || !replay.isReplayable) return replay.isComplete;
  const isOne = kind === 'unary' || kind === 'server_stream';
  if (!isOne && known) return false;
  const reader = replay.open();
  const isOver = Promise.withResolvers<void>();
  const cancelTimer = isOne ? () => {} : clock.schedule(endWaitMs, isOver.resolve);
  await Promise.race([readToEnd(reader), isOver.promise]);
  cancelTimer();
  await reader.return?.();
  return replay.isComplete;
}

async function readToEnd(reader: AsyncIterator<unknown>): Promise<void> {
  try {
    while (!(await reader.next()).done);
  } catch {
    // The caller left, or sent what a filter refused: the call has that failure already.
  }
}
