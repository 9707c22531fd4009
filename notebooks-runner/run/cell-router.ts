import type { Clock } from '../../server/core/clock.ts';
import { readExecutionCount } from '../kernel/execute-reply.ts';
import type { WireMessage } from '../kernel/wire-codec.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import type { Output } from '../nbformat/notebook.ts';
import type { CellOutputs } from '../outputs/cell-outputs.ts';
import { toDisplayMetadata, toMimeBundle } from '../outputs/mime-bundle.ts';
import type { RedactedStream, Redactor } from '../outputs/redactor.ts';
import { displayIdOf, type RunOutputs } from '../outputs/run-outputs.ts';
import type { RunEvent } from './run-record.ts';
import type { WidgetState } from './widget-state.ts';

/** Where the messages of one cell go. */
interface Sink {
  readonly index: number;
  readonly outputs: CellOutputs;
  requestId: string | undefined;
  executionCount: number | null;
  heldError: JsonObject | undefined;
  /** Ends of streams that might be the beginning of a secret, by stream name. */
  readonly held: Map<string, RedactedStream>;
}

interface CellRouterOptions {
  readonly outputs: RunOutputs;
  /**
   * True for kernels whose parent ids cannot be trusted: output belongs to the cell that runs when it arrives, and an
   * error, which overtakes what was printed before it, is kept until the cell is finished.
   */
  readonly byArrival: boolean;
  readonly redactor: Redactor;
  readonly widgets: WidgetState;
  readonly clock: Clock;
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
  /** Adds what was held back; call when the cell's output is complete. */
  flush(): void;
  /** When the last output came, on the monotonic clock; 0 before the first. */
  lastOutputMs(): number;
  /** From execute_input; null when the kernel sent none. */
  executionCount(): number | null;
}

/**
 * Messages that name no known request go to the current cell; those before the first cell are left out. What changes
 * the outputs of a cell is emitted too, redacted alike.
 */
export function createCellRouter(options: CellRouterOptions): CellRouter {
  const { outputs, byArrival, redactor, widgets, clock, emit, onChange } = options;
  const byRequest = new Map<string, Sink>();
  let current: Sink | undefined;
  let lastOutputMs = 0;

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

  /** Gives what an output widget captures to it; false for messages that it does not take. */
  function captureOutput(message: WireMessage, capture: (output: Output | 'clear') => void): boolean {
    const output = toOutput(message.type, redactor.value(message.content));
    if (output === undefined) return false;
    capture(output);
    return true;
  }

  function addError(sink: Sink, content: JsonObject): void {
    const { ename, evalue, traceback } = content as Readonly<Record<string, unknown>>;
    const lines = Array.isArray(traceback) ? traceback.filter((line) => typeof line === 'string') : [];
    sink.outputs.error(textOf(ename, 'Error'), textOf(evalue, ''), lines);
    note(sink, 'error', `${textOf(ename, 'Error')}: ${textOf(evalue, '')}`);
  }

  function addStream(sink: Sink, name: string, text: string): void {
    if (text === '') return;
    sink.outputs.stream(name, text);
    note(sink, 'stream', text, name);
  }

  function stream(sink: Sink, content: JsonObject): void {
    const name = textOf(content['name'], 'stdout');
    let filter = sink.held.get(name);
    if (filter === undefined) {
      filter = redactor.stream();
      sink.held.set(name, filter);
    }
    addStream(sink, name, filter.push(textOf(content['text'], '')));
  }

  function flushStreams(sink: Sink): void {
    for (const [name, filter] of sink.held) addStream(sink, name, filter.rest());
  }

  function receive(message: WireMessage): void {
    lastOutputMs = clock.monotonic();
    if (message.type.startsWith('comm_')) {
      widgets.receive({ ...message, content: redactor.value(message.content) });
      return;
    }
    const sink = sinkOf(message);
    if (sink === undefined) return;
    const capture = widgets.captureOf(message.parentId);
    if (capture !== undefined && captureOutput(message, capture)) return;
    if (message.type !== 'stream') flushStreams(sink);
    const content = message.type === 'stream' ? message.content : redactor.value(message.content);
    switch (message.type) {
      case 'execute_input':
        if (message.parentId === sink.requestId) sink.executionCount = readExecutionCount(content['execution_count']);
        break;
      case 'stream':
        stream(sink, content);
        break;
      case 'display_data':
        sink.outputs.display(content['data'], content['metadata'], displayIdOf(content));
        note(sink, 'display', plainTextOf(content));
        break;
      case 'execute_result':
        sink.outputs.result(
          content['data'],
          content['metadata'],
          readExecutionCount(content['execution_count']),
          displayIdOf(content),
        );
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
      // What a thread of an earlier cell printed late is complete as far as anybody can tell.
      for (const sink of byRequest.values()) flushStreams(sink);
      current = {
        index,
        outputs: cellOutputs,
        requestId: undefined,
        executionCount: null,
        heldError: undefined,
        held: new Map(),
      };
    },
    bind: (requestId) => {
      if (current === undefined) return;
      current.requestId = requestId;
      byRequest.set(requestId, current);
    },
    receive,
    lastOutputMs: () => lastOutputMs,
    flush: () => {
      if (current !== undefined) flushStreams(current);
      if (current?.heldError === undefined) return;
      addError(current, current.heldError);
      current.heldError = undefined;
    },
    executionCount: () => current?.executionCount ?? null,
  };
}

/** What an output widget keeps of a message; undefined for what it does not capture. */
function toOutput(type: string, content: JsonObject): Output | 'clear' | undefined {
  const bundle = { data: toMimeBundle(content['data']), metadata: toDisplayMetadata(content['metadata']) };
  switch (type) {
    case 'stream':
      return { output_type: 'stream', name: textOf(content['name'], 'stdout'), text: textOf(content['text'], '') };
    case 'display_data':
      return { output_type: 'display_data', ...bundle };
    case 'execute_result':
      return {
        output_type: 'execute_result',
        execution_count: readExecutionCount(content['execution_count']),
        ...bundle,
      };
    case 'clear_output':
      return 'clear';
    default:
      return undefined;
  }
}

function textOf(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

function plainTextOf(content: JsonObject): string {
  const data = content['data'];
  const text = typeof data === 'object' && data !== null ? (data as JsonObject)['text/plain'] : undefined;
  return textOf(text, '');
}
