import type { DisplayOutput, Output, ResultOutput, StreamOutput } from '../nbformat/notebook.ts';
import { sizeOfContent, toDisplayMetadata, toMimeBundle } from './mime-bundle.ts';
import type { DisplayHandle, SharedOutputs } from './run-outputs.ts';

/** What a cell kept and lost. */
export interface OutputCounts {
  readonly keptBytes: number;
  readonly droppedBytes: number;
  /** Messages dropped whole or in part. */
  readonly droppedOutputs: number;
}

/** Collects the outputs of one cell into its list: streams merged, displays by id, limits enforced. */
export interface CellOutputs {
  stream(name: string, text: string): void;
  display(data: unknown, metadata: unknown, displayId: string | undefined): void;
  result(data: unknown, metadata: unknown, executionCount: number | null, displayId: string | undefined): void;
  /** Always kept, also over the limits; very long texts are cut. */
  error(ename: string, evalue: string, traceback: readonly string[]): void;
  /** Removes all outputs; `wait` = as soon as the next one comes. */
  clear(wait: boolean): void;
  hasError(): boolean;
  counts(): OutputCounts;
}

/** Accounted per output on top of its content, so that empty ones are bounded too. */
const overheadBytes = 64;
const maxErrorCharacters = 65_536;

/** Collects into `outputs`; `shared` is the run's budget and displays. */
export function createCellOutputs(outputs: Output[], shared: SharedOutputs): CellOutputs {
  const { changes } = shared;
  let usedBytes = 0;
  let droppedBytes = 0;
  let droppedOutputs = 0;
  let marker: StreamOutput | undefined;
  let isClearPending = false;
  const own = new Map<DisplayHandle, string>();

  const room = () => Math.min(shared.limits.maxCellBytes - usedBytes, shared.limits.maxRunBytes - shared.usedBytes);

  function account(bytes: number): void {
    usedBytes += bytes;
    shared.usedBytes += bytes;
  }

  function drop(bytes: number): void {
    droppedBytes += bytes;
    droppedOutputs++;
    if (marker === undefined) {
      marker = { output_type: 'stream', name: 'stderr', text: '' };
      outputs.push(marker);
    }
    marker.text = markerText(droppedBytes, droppedOutputs, shared);
    changes.note(outputs, marker, 'replaced');
  }

  function clearNow(): void {
    isClearPending = false;
    outputs.length = 0;
    changes.reset(outputs);
    account(-usedBytes);
    marker = undefined;
    for (const [handle, id] of own) shared.displays.get(id)?.delete(handle);
    own.clear();
  }

  function clearIfPending(): void {
    if (isClearPending) clearNow();
  }

  function stream(name: string, text: string): void {
    clearIfPending();
    const last = outputs.at(-1);
    const target: StreamOutput | undefined =
      last?.output_type === 'stream' && last.name === name && last !== marker ? last : undefined;
    const bytes = Buffer.byteLength(text);
    const free = room() - (target === undefined ? overheadBytes : 0);
    if (marker !== undefined || free <= 0) {
      drop(bytes);
      return;
    }
    const kept = bytes <= free ? text : cutText(text, free);
    const grown: StreamOutput = target ?? { output_type: 'stream', name, text: '' };
    if (target === undefined) outputs.push(grown);
    grown.text += kept;
    changes.note(outputs, grown, 'grown');
    account(Buffer.byteLength(kept) + (target === undefined ? overheadBytes : 0));
    if (kept.length < text.length) drop(bytes - Buffer.byteLength(kept));
  }

  function show<T extends DisplayOutput | ResultOutput>(output: T, displayId: string | undefined): void {
    clearIfPending();
    const bytes = sizeOfContent(output.data, output.metadata) + overheadBytes;
    if (marker !== undefined || bytes > room()) {
      drop(bytes);
      return;
    }
    // A display that takes over an id also rewrites the older ones under it.
    if (displayId !== undefined) {
      for (const handle of shared.displays.get(displayId) ?? []) handle.replace(output.data, output.metadata);
    }
    outputs.push(output);
    changes.note(outputs, output, 'replaced');
    account(bytes);
    if (displayId !== undefined) register(output, displayId);
  }

  function register(output: DisplayOutput | ResultOutput, displayId: string): void {
    const handle: DisplayHandle = {
      output,
      replace: (data, metadata) => {
        const next = { data: toMimeBundle(data), metadata: toDisplayMetadata(metadata) };
        const nextBytes = sizeOfContent(next.data, next.metadata);
        const growth = nextBytes - sizeOfContent(output.data, output.metadata);
        if (growth > room()) {
          drop(nextBytes);
          return;
        }
        output.data = next.data;
        output.metadata = next.metadata;
        changes.note(outputs, output, 'replaced');
        account(growth);
      },
    };
    own.set(handle, displayId);
    const handles = shared.displays.get(displayId);
    if (handles === undefined) shared.displays.set(displayId, new Set([handle]));
    else handles.add(handle);
  }

  return {
    stream,
    display: (data, metadata, displayId) =>
      show({ output_type: 'display_data', data: toMimeBundle(data), metadata: toDisplayMetadata(metadata) }, displayId),
    result: (data, metadata, executionCount, displayId) => {
      const content = { data: toMimeBundle(data), metadata: toDisplayMetadata(metadata) };
      show({ output_type: 'execute_result', execution_count: executionCount, ...content }, displayId);
    },
    error: (ename, evalue, traceback) => {
      clearIfPending();
      const output = cutError(ename, evalue, traceback);
      outputs.push(output);
      changes.note(outputs, output, 'replaced');
      account(Buffer.byteLength(output.evalue) + overheadBytes);
    },
    clear: (wait) => {
      if (wait) isClearPending = true;
      else clearNow();
    },
    hasError: () => outputs.some((output) => output.output_type === 'error'),
    counts: () => ({ keptBytes: usedBytes, droppedBytes, droppedOutputs }),
  };
}

function markerText(bytes: number, messages: number, { limits }: SharedOutputs): string {
  const { maxCellBytes, maxRunBytes } = limits;
  return (
    `\n[output truncated: ${bytes} bytes in ${messages} messages dropped; ` +
    `limits are ${maxCellBytes} bytes per cell and ${maxRunBytes} bytes per run]\n`
  );
}

/** The longest beginning of `text` that takes at most `maxBytes` of UTF-8 and splits no character. */
function cutText(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  let end = Math.min(maxBytes, bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

function cutError(ename: string, evalue: string, traceback: readonly string[]) {
  const cut = (text: string) =>
    text.length <= maxErrorCharacters
      ? text
      : `${text.slice(0, maxErrorCharacters)} [cut: ${text.length - maxErrorCharacters} more characters]`;
  let left = 4 * maxErrorCharacters;
  const lines: string[] = [];
  for (const line of traceback) {
    left -= line.length + 1;
    if (left < 0) {
      lines.push(`[cut: ${traceback.length - lines.length} more lines]`);
      break;
    }
    lines.push(line);
  }
  return { output_type: 'error' as const, ename: cut(ename).slice(0, 1_000), evalue: cut(evalue), traceback: lines };
}
