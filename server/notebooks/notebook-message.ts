import type { MessageInitShape } from '@bufbuild/protobuf';
import type { LiveEvent } from '../../notebooks-runner/live/live-events.ts';
import { kernelNameOf, languageOf, type Notebook } from '../../notebooks-runner/nbformat/notebook.ts';
import { inspectParameters } from '../../notebooks-runner/parameters/inspect-parameters.ts';
import {
  type NotebookSchema,
  type RunEventSchema,
  RunState,
} from '../../proto/gen/showrunner/notebooks/v1/notebook_pb.ts';
import { toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';

const languageOfKernel: Readonly<Record<string, string>> = { deno: 'typescript', python3: 'python' };

/** What a notebook takes, for the wire. Throws NOTEBOOK_INVALID for a schema that cannot be used. */
export function toNotebookMessage(name: string, notebook: Notebook): MessageInitShape<typeof NotebookSchema> {
  const kernel = kernelNameOf(notebook) ?? '';
  const language = languageOf(notebook) ?? languageOfKernel[kernel] ?? '';
  const { parameters, isStrict } = inspectParameters(notebook, language, kernel);
  return {
    name,
    title: titleOf(notebook),
    kernel,
    language,
    codeCells: notebook.cells.filter((cell) => cell.cell_type === 'code').length,
    strict: isStrict,
    parameters: parameters.map(({ minimum, maximum, ...parameter }) => ({
      name: parameter.name,
      type: parameter.type,
      defaultText: parameter.defaultText,
      description: parameter.help,
      required: parameter.isRequired,
      secret: parameter.isSecret,
      choices: [...parameter.choices],
      ...(minimum === undefined ? {} : { minimum }),
      ...(maximum === undefined ? {} : { maximum }),
    })),
  };
}

function titleOf({ cells }: Notebook): string {
  const text = cells.find((cell) => cell.cell_type === 'markdown')?.source ?? '';
  return /^#+\s*(.+)$/m.exec(text)?.[1]?.trim() ?? '';
}

const stateOf: Readonly<Record<string, RunState>> = {
  running: RunState.RUNNING,
  succeeded: RunState.SUCCEEDED,
  failed: RunState.FAILED,
  timed_out: RunState.TIMED_OUT,
  killed: RunState.KILLED,
  cancelled: RunState.CANCELLED,
  skipped: RunState.SKIPPED,
  not_run: RunState.NOT_RUN,
};

/** A live event for the wire. */
export function toRunEventMessage({
  sequence,
  attempt,
  timeMs,
  event,
}: LiveEvent): MessageInitShape<typeof RunEventSchema> {
  return { sequence: BigInt(sequence), attempt, time: toTimestamp(timeMs), event: toBody(event) };
}

function toBody(event: LiveEvent['event']): NonNullable<MessageInitShape<typeof RunEventSchema>['event']> {
  switch (event.type) {
    case 'run:started':
      return { case: 'started', value: { codeCells: event.codeCells } };
    case 'kernel:ready':
      return { case: 'kernelReady', value: { readyAfter: toDuration(Math.round(event.readyAfterMs)) } };
    case 'cell:started':
      return { case: 'cellStarted', value: { index: event.index, id: event.id } };
    case 'cell:output': {
      const { index, kind, stream, text } = event;
      return { case: 'cellOutput', value: { index, kind, stream, text } };
    }
    case 'cell:finished': {
      const { index, id, status, durationMs } = event;
      const state = stateOf[status] ?? RunState.UNSPECIFIED;
      return { case: 'cellFinished', value: { index, id, state, duration: toDuration(durationMs) } };
    }
    case 'run:finished': {
      const state = stateOf[event.status] ?? RunState.UNSPECIFIED;
      return { case: 'finished', value: { state, duration: toDuration(event.durationMs) } };
    }
    case 'outputs:dropped':
      return {
        case: 'outputsDropped',
        value: { outputs: BigInt(event.outputs), textBytes: BigInt(event.bytes) },
      };
  }
}
