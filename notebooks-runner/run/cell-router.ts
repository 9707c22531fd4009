import type { WireMessage } from '../kernel/wire-codec.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import type { CellOutputs } from '../outputs/cell-outputs.ts';
import { displayIdOf, type RunOutputs } from '../outputs/run-outputs.ts';
import type { RunEvent } from './run-record.ts';

/** Where the messages of one cell go. */
interface Sink {
  readonly index: number;
  readonly outputs: CellOutputs;
  requestId: string | undefined;
  executionCount: number | null;
  heldError: JsonObject | undefined;
}

export interface CellRouterOptions {
  readonly outputs: RunOutputs;
  /**
   * True for kernels whose parent ids cannot be trusted: output belongs to the cell that runs when it arrives, and an
   * error, which overtakes what was printed before it, is kept until the cell is finished.
   */
  readonly byArrival: boolean;
  readonly emit: (event: RunEvent) => void;
  /** Called after every change of an output. */
  readonly onChange: () => void;
}

/** Gives each iopub message to the cell that it belongs to. */
export interface CellRouter {
  begin(index: number, outputs: CellOutputs): void;
  /** Names the request of the current cell. */
  bind(requestId: string): void;
  receive(message: WireMessage): void;
  /** Adds a held error; call when the cell's output is complete. */
  flushError(): void;
  /** From execute_input; null when the kernel sent none. */
  executionCount(): number | null;
}

export function createCellRouter({ outputs, byArrival, emit, onChange }: CellRouterOptions): CellRouter {
  const byRequest = new Map<string, Sink>();
  let current: Sink | undefined;

  function sinkOf({ parentId }: WireMessage): Sink | undefined {
    const named = byArrival || parentId === undefined ? undefined : byRequest.get(parentId);
    return named ?? current;
  }

  function note(
    sink: Sink,
    kind: 'stream' | 'display' | 'update' | 'result' | 'error' | 'clear',
    text = '',
    stream = '',
  ): void {
    emit({ type: 'cell:output', index: sink.index, kind, stream, text });
    onChange();
  }

  function addError(sink: Sink, content: JsonObject): void {
    const { ename, evalue, traceback } = content as Readonly<Record<string, unknown>>;
    const lines = Array.isArray(traceback) ? traceback.filter((line) => typeof line === 'string') : [];
    sink.outputs.error(textOf(ename, 'Error'), textOf(evalue, ''), lines);
    note(sink, 'error', `${textOf(ename, 'Error')}: ${textOf(evalue, '')}`);
  }

  function receive(message: WireMessage): void {
    const sink = sinkOf(message);
    if (sink === undefined) return;
    const { content } = message;
    switch (message.type) {
      case 'execute_input':
        if (message.parentId === sink.requestId) sink.executionCount = countOf(content);
        break;
      case 'stream':
        sink.outputs.stream(textOf(content['name'], 'stdout'), textOf(content['text'], ''));
        note(sink, 'stream', textOf(content['text'], ''), textOf(content['name'], 'stdout'));
        break;
      case 'display_data':
        sink.outputs.display(content['data'], content['metadata'], displayIdOf(content));
        note(sink, 'display', plainTextOf(content));
        break;
      case 'execute_result':
        sink.outputs.result(content['data'], content['metadata'], countOf(content), displayIdOf(content));
        note(sink, 'result', plainTextOf(content));
        break;
      case 'update_display_data': {
        const id = displayIdOf(content);
        if (id !== undefined) outputs.updateDisplay(id, content['data'], content['metadata']);
        note(sink, 'update', plainTextOf(content));
        break;
      }
      case 'clear_output':
        sink.outputs.clear(content['wait'] === true);
        note(sink, 'clear');
        break;
      case 'error':
        if (byArrival) sink.heldError = content;
        else addError(sink, content);
        break;
    }
  }

  return {
    begin: (index, cellOutputs) => {
      current = { index, outputs: cellOutputs, requestId: undefined, executionCount: null, heldError: undefined };
    },
    bind: (requestId) => {
      if (current === undefined) return;
      current.requestId = requestId;
      byRequest.set(requestId, current);
    },
    receive,
    flushError: () => {
      if (current?.heldError === undefined) return;
      addError(current, current.heldError);
      current.heldError = undefined;
    },
    executionCount: () => current?.executionCount ?? null,
  };
}

function textOf(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

function countOf(content: JsonObject): number | null {
  const count = content['execution_count'];
  return typeof count === 'number' && Number.isInteger(count) ? count : null;
}

function plainTextOf(content: JsonObject): string {
  const data = content['data'];
  const text = typeof data === 'object' && data !== null ? (data as JsonObject)['text/plain'] : undefined;
  return textOf(text, '');
}
