import type { Call } from '../../server/core/call.ts';
import type { CallRecord } from './call-record.ts';
import { lineOf } from './call-record.ts';
import type { ChainRun } from './chain-run.ts';
import type { FilterFaults } from './filter-faults.ts';
import { firstSkip, Status } from './filter-status.ts';
import { Invocation } from './invocation.ts';
import type { Chain, Slot } from './snapshot.ts';
import { addAfter, type SpanEvent } from './span-event.ts';

/** True when the filter applied to the ended call: outbound and error filters decide it now if they were not reached. */
export function appliedAtEnd(slot: Slot, run: ChainRun, record: CallRecord): boolean {
  const { filter, index } = slot;
  const isLate = filter.type === 'outbound' || filter.type === 'error';
  if (record.status[index] === Status.pending && isLate) run.takesPart(slot, true);
  const status = record.status[index] ?? Status.pending;
  return status !== Status.pending && status < firstSkip;
}

/** The hooks before the status, followed by the span's event; both once. `span` alone when the chain has no hook. */
export function createStatusHooks(
  call: Call,
  chain: Chain,
  run: ChainRun,
  record: CallRecord,
  faults: FilterFaults,
  span: SpanEvent | undefined,
): SpanEvent | undefined {
  if (chain.status.length === 0) return span;
  let isDone = false;
  const add = () => {
    if (isDone) return;
    isDone = true;
    for (const slot of chain.status) {
      if (!appliedAtEnd(slot, run, record)) continue;
      const { filter } = slot;
      const failed = (error: unknown) => faults.failed(filter, Status.threw, call, error, false);
      try {
        const result = filter.onStatus?.(call, lineOf(record), new Invocation(filter, undefined));
        if (result instanceof Promise) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
    span?.add();
  };
  return { add, addAfter: (result) => addAfter(result, add) };
}
