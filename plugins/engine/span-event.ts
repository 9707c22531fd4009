import { trace } from '@opentelemetry/api';
import { type CallRecord, lineOf } from './call-record.ts';

/** The event of a call's filters on the call's span. */
export interface SpanEvent {
  /** Adds the event, once. */
  add(): void;
  /** Adds it when `result` is there, and gives `result`. */
  addAfter<T>(result: T | Promise<T>): T | Promise<T>;
}

/** Undefined when no span is recording, which is the common case and costs one look-up. */
export function createSpanEvent(record: CallRecord): SpanEvent | undefined {
  const span = trace.getActiveSpan();
  if (!span?.isRecording()) return undefined;
  let isAdded = false;
  const add = () => {
    if (isAdded || !span.isRecording()) return;
    isAdded = true;
    span.addEvent('filters', { filters: lineOf(record) });
  };
  return { add, addAfter: (result) => addAfter(result, add) };
}

/** Calls `add` when `result` is there, and gives `result`. */
export function addAfter<T>(result: T | Promise<T>, add: () => void): T | Promise<T> {
  if (!(result instanceof Promise)) {
    add();
    return result;
  }
  return result.then((value) => {
    add();
    return value;
  });
}
