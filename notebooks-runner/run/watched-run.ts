import { watchKernel } from '../kernel/kernel-watch.ts';
import type { ReadyKernel } from '../kernel/ready-kernel.ts';
import { createRunOutputs } from '../outputs/run-outputs.ts';
import { runCells } from './run-cells.ts';
import type { RunContext } from './run-context.ts';
import type { RunEnd } from './run-state.ts';
import { createWidgetState } from './widget-state.ts';

/** Runs the cells under the watch of memory, disk and heartbeat; a stop interrupts the cell, then kills the kernel. */
export async function watchedRun(ready: ReadyKernel, context: RunContext): Promise<RunEnd> {
  const { options, limits, prepared, redactor, state, changes, stop, emit, onChange } = context;
  const { clock, log, cellTimeoutMs, idleTimeoutMs } = options;
  const { kernel, tree, folders } = ready;
  const { maxMemoryBytes, maxDiskBytes, heartbeatTimeoutMs } = limits;
  const bounds = { maxMemoryBytes, maxDiskBytes, heartbeatTimeoutMs };
  const watch = watchKernel({ kernel, tree, dir: folders.root, clock, log, ...bounds, onTrip: stop.request });
  const stopWaiting = endOnStop(ready, context);
  const outputs = createRunOutputs(
    { maxCellBytes: limits.maxCellOutputBytes, maxRunBytes: limits.maxRunOutputBytes },
    changes,
  );
  const widgets = createWidgetState({ maxBytes: limits.maxCellOutputBytes, sendState: sendState(ready) });
  try {
    return await runCells({
      kernel,
      state,
      stop,
      clock,
      outputs,
      widgets,
      redactor,
      plan: prepared,
      cellTimeoutMs,
      idleTimeoutMs,
      emit,
      onChange,
    });
  } finally {
    watch.stop();
    stopWaiting();
    state.setKernel({ peakMemoryBytes: watch.peakBytes() });
    state.setWidgets(widgets.toMetadata());
    if (widgets.dropped() > 0) state.warn(`${widgets.dropped()} updates of widgets were dropped over the limits`);
  }
}

function sendState({ kernel }: ReadyKernel) {
  return (commId: string, state: Parameters<typeof kernel.sendComm>[1]) =>
    kernel.sendComm(commId, { method: 'update', state, buffer_paths: [] });
}

/** Interrupts the running cell when the run is to stop, and kills the kernel when that does not help in time. */
function endOnStop({ kernel }: ReadyKernel, { options, stop }: RunContext): () => void {
  const { clock, interruptGraceMs = 1_000 } = options;
  let cancelKill = () => {};
  const end = () => {
    const kind = stop.reason()?.kind;
    const isHopeless = kind === 'memory' || kind === 'disk' || kind === 'unresponsive';
    if (!isHopeless) kernel.interrupt();
    cancelKill = clock.schedule(isHopeless ? 0 : interruptGraceMs, () => void kernel.kill());
  };
  stop.signal.addEventListener('abort', end, { once: true });
  if (stop.signal.aborted) end();
  return () => {
    cancelKill();
    stop.signal.removeEventListener('abort', end);
  };
}
