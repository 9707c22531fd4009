import type { Clock } from '../../server/core/clock.ts';
import type { RunEvent } from '../run/run-record.ts';
import { attemptStride, type LiveEvent } from './live-events.ts';

interface LiveBufferOptions {
  /** Of the job, from 1. */
  readonly attempt: number;
  /** Text of outputs that is passed on, over the whole attempt; what is more is counted. */
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** Numbers the events of an attempt and joins pieces of one stream, until somebody takes them. */
export interface LiveBuffer {
  add(event: RunEvent): void;
  /** The events since the last call. */
  take(): LiveEvent[];
  isEmpty(): boolean;
}

/** Outputs beyond `maxBytes` are dropped; their count and bytes come as one event before the next that is no output. */
export function createLiveBuffer({ attempt, maxBytes, clock }: LiveBufferOptions): LiveBuffer {
  let next = attempt * attemptStride + 1;
  let bytesLeft = maxBytes;
  let dropped = { outputs: 0, bytes: 0 };
  let events: LiveEvent[] = [];

  function push(event: LiveEvent['event']): void {
    events.push({ sequence: next++, attempt, timeMs: clock.now(), event });
  }

  function flushDropped(): void {
    if (dropped.outputs === 0) return;
    push({ type: 'outputs:dropped', ...dropped });
    dropped = { outputs: 0, bytes: 0 };
  }

  function addOutput(event: RunEvent & { type: 'cell:output' }): void {
    const bytes = Buffer.byteLength(event.text) + 32;
    if (bytes > bytesLeft) {
      dropped = { outputs: dropped.outputs + 1, bytes: dropped.bytes + bytes - 32 };
      return;
    }
    bytesLeft -= bytes;
    const last = events.at(-1);
    const before = last?.event;
    const isSame =
      before?.type === 'cell:output' &&
      before.kind === 'stream' &&
      event.kind === 'stream' &&
      before.stream === event.stream &&
      before.index === event.index;
    if (!isSame || last === undefined) push(event);
    else events[events.length - 1] = { ...last, event: { ...event, text: before.text + event.text } };
  }

  return {
    add: (event) => {
      if (event.type === 'cell:output') addOutput(event);
      else {
        flushDropped();
        push(event);
      }
    },
    take: () => {
      const taken = events;
      events = [];
      return taken;
    },
    isEmpty: () => events.length === 0,
  };
}
