import type { WireMessage } from '../kernel/wire-codec.ts';
import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import type { Output } from '../nbformat/notebook.ts';

/** Collects the state of widgets, so that the output notebook shows them without a kernel. */
export interface WidgetState {
  /** Takes comm_open, comm_msg and comm_close. */
  receive(message: WireMessage): void;
  /** The output widget that captures what this request prints; undefined when none does. */
  captureOf(requestId: string | undefined): ((output: Output | 'clear') => void) | undefined;
  /** For `metadata.widgets`; undefined when no widget has state. */
  toMetadata(): JsonObject | undefined;
  /** Updates that were dropped over the limits. */
  dropped(): number;
}

interface WidgetStateOptions {
  /** Bytes of state that are kept. */
  readonly maxBytes: number;
  /** Tells the kernel's end of an output widget what it captured. */
  sendState(commId: string, state: JsonObject): void;
}

interface Model {
  state: JsonObject;
  buffers: Map<string, JsonObject>;
  bytes: number;
}

const maxModels = 10_000;
const maxDepth = 80;
const targetName = 'jupyter.widget';
const viewMime = 'application/vnd.jupyter.widget-state+json';

/** Source: https://ipywidgets.readthedocs.io/en/stable/embedding.html and nbclient's treatment of comms. */
export function createWidgetState({ maxBytes, sendState }: WidgetStateOptions): WidgetState {
  const models = new Map<string, Model>();
  /** Request id → the output widgets that capture it, innermost last. */
  const captures = new Map<string, string[]>();
  let usedBytes = 0;
  let droppedCount = 0;

  function update(id: string, model: Model, message: WireMessage): void {
    const data = message.content['data'];
    const state = isJsonObject(data) && isJsonObject(data['state']) ? data['state'] : {};
    // A document that nests deeper cannot be read again.
    if (isDeeperThan(state, maxDepth)) {
      droppedCount++;
      return;
    }
    const next = { ...model.state, ...state };
    const bytes = Buffer.byteLength(JSON.stringify(next)) + buffersOf(message).size;
    if (usedBytes - model.bytes + bytes > maxBytes) {
      droppedCount++;
      return;
    }
    usedBytes += bytes - model.bytes;
    model.bytes = bytes;
    model.state = next;
    for (const [path, buffer] of buffersOf(message).entries) model.buffers.set(path, buffer);
    const capture = state['msg_id'];
    if (model.state['_model_name'] === 'OutputModel' && typeof capture === 'string') follow(id, capture);
  }

  /** An output widget captures by naming the request in its state, and ends by naming none. */
  function follow(id: string, requestId: string): void {
    for (const [request, ids] of captures) {
      const rest = ids.filter((other) => other !== id);
      if (rest.length === 0) captures.delete(request);
      else captures.set(request, rest);
    }
    if (requestId !== '') captures.set(requestId, [...(captures.get(requestId) ?? []), id]);
  }

  function capture(id: string, output: Output | 'clear'): void {
    const model = models.get(id);
    if (model === undefined) return;
    const before = output === 'clear' || !Array.isArray(model.state['outputs']) ? [] : [...model.state['outputs']];
    const outputs = output === 'clear' ? [] : merged(before, output);
    update(id, model, asMessage({ state: { outputs } }));
    sendState(id, { outputs });
  }

  return {
    receive: (message) => {
      const id = message.content['comm_id'];
      if (typeof id !== 'string') return;
      if (message.type === 'comm_open') {
        if (message.content['target_name'] !== targetName) return;
        if (models.size >= maxModels) {
          droppedCount++;
          return;
        }
        models.set(id, { state: {}, buffers: new Map(), bytes: 0 });
      }
      const model = models.get(id);
      if (model === undefined) return;
      // A closed widget stays as it was: the notebook shows what a reader saw.
      if (message.type !== 'comm_close') update(id, model, message);
      else follow(id, '');
    },
    captureOf: (requestId) => {
      const id = requestId === undefined ? undefined : captures.get(requestId)?.at(-1);
      return id === undefined ? undefined : (output) => capture(id, output);
    },
    toMetadata: () => {
      const shown = [...models].filter(([, { state }]) => typeof state['_model_name'] === 'string');
      if (shown.length === 0) return undefined;
      const state = Object.fromEntries(shown.map(([id, model]) => [id, modelToJson(model)]));
      return { [viewMime]: { state, version_major: 2, version_minor: 0 } };
    },
    dropped: () => droppedCount,
  };
}

function modelToJson({ state, buffers }: Model): JsonObject {
  const { _model_name: name, _model_module: module, _model_module_version: version } = state;
  return {
    model_name: name ?? null,
    model_module: module ?? null,
    ...(version === undefined ? {} : { model_module_version: version }),
    state,
    ...(buffers.size === 0 ? {} : { buffers: [...buffers.values()] }),
  };
}

/** Binary parts of the state, each with the path where it belongs. */
function buffersOf({ content, buffers = [] }: WireMessage): { entries: [string, JsonObject][]; size: number } {
  const data = content['data'];
  const paths = isJsonObject(data) && Array.isArray(data['buffer_paths']) ? data['buffer_paths'] : [];
  const entries = buffers.flatMap((buffer, index): [string, JsonObject][] => {
    const path = paths[index];
    if (!Array.isArray(path)) return [];
    return [[JSON.stringify(path), { data: buffer.toString('base64'), encoding: 'base64', path }]];
  });
  return { entries, size: buffers.reduce((bytes, buffer) => bytes + Math.ceil(buffer.length / 3) * 4, 0) };
}

function merged(outputs: JsonValue[], output: Output): JsonValue[] {
  const last = outputs.at(-1);
  if (output.output_type === 'stream' && isJsonObject(last) && last['name'] === output.name) {
    return [...outputs.slice(0, -1), { ...last, text: `${String(last['text'])}${output.text}` }];
  }
  return [...outputs, { ...output } as JsonObject];
}

function asMessage(data: JsonObject): WireMessage {
  return { type: 'comm_msg', id: '', parentId: undefined, date: '', content: { data }, metadata: {} };
}
