import { type Attributes, trace } from '@opentelemetry/api';
import {
  type Call,
  type CallMetadata,
  codeName,
  contextKey,
  createCounters,
  defineFilter,
  type Logger,
  schema,
} from '../../engine/filter.ts';
import { createDebugRules, debugRule } from './debug-rules.ts';
import { approximateBytes } from './message-size.ts';

const { optional, withDefault } = schema;

/** Trailers over 8 KiB are refused by common clients, and the status needs its part. */
const maxTrailer = 3000;
const maxText = 512;

interface Debugged {
  readonly rule: string;
  readonly sinceMs: number;
  messages: number;
}

const debugged = contextKey<Debugged>('debugged_call');

function short(text: string): string {
  return text.length <= maxText ? text : `${text.slice(0, maxText)}…`;
}

/** Every key; the value only of keys that may be shown, else how long it is. */
function describeMetadata(metadata: CallMetadata, isShown: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries(
    metadata.keys().map((key) => {
      const value = key.endsWith('-bin') ? metadata.getBinary(key) : metadata.get(key);
      if (typeof value === 'string' && isShown.has(key)) return [key, short(value)];
      return [key, `(${value?.length ?? 0} ${typeof value === 'string' ? 'characters' : 'bytes'})`];
    }),
  );
}

/** One line in the log, and one event on the call's span when it is recorded. */
function tell(log: Logger, call: Call, event: string, own: Debugged, atMs: number, data: Attributes): void {
  const common = { debug_rule: own.rule, at_ms: Math.round((atMs - own.sinceMs) * 1000) / 1000 };
  log.info(event, { call_id: call.id, ...common, ...data });
  const span = trace.getActiveSpan();
  if (span?.isRecording()) span.addEvent(event.replaceAll(' ', '.'), { ...common, ...data });
}

/**
 * Surgical debugging: follows single calls (by principal, path, header) closely, for a limited time and number of
 * calls: a line and a span event with the metadata keys, one per message with size and time, one at the end with what
 * each filter did. Values of metadata are shown only of listed keys, contents of messages never. Callers with a scope
 * get the account of the filters as trailer `x-filters`.
 */
export const filter = defineFilter({
  id: 'showrunner.surgical-debug',
  version: '1.0.0',
  type: 'inbound',
  // Right after authentication, which says who calls.
  order: -490,
  category: 'observability',
  failurePolicy: 'open',
  config: schema.shape({
    enabled: withDefault(schema.flag(), false),
    rules: withDefault(schema.list(debugRule, 50), []),
    /** Metadata keys whose values are shown. */
    shownMetadata: withDefault(schema.list(schema.text(1, 128), 100), ['content-type', 'user-agent', 'x-request-id']),
    /** Scope of the callers that get the trailer; absent = nobody. */
    trailerScope: optional(schema.text(1, 128)),
    /** Most messages per call that have a line, both directions together. */
    maxMessages: withDefault(schema.integer(0, 10_000), 50),
  }),
  isEnabled: ({ enabled }) => enabled,
  open: (config, { clock }) => ({
    rules: createDebugRules(config.rules, clock.now()),
    isShown: new Set(config.shownMetadata),
    counters: createCounters('showrunner.surgical_debug', {
      calls: 'Calls that were followed.',
      messages_left_out: 'Messages of followed calls beyond those that have a line.',
    }),
  }),
  shouldRun: (call, { state, clock }) => state.rules.find(call, clock.now()) !== undefined,
  run: (call, { state, clock, log }) => {
    const rule = state.rules.find(call, clock.now());
    if (rule === undefined) return;
    rule.left--;
    state.counters.add('calls');
    const own: Debugged = { rule: rule.name, sinceMs: clock.monotonic(), messages: 0 };
    debugged.set(call, own);
    tell(log, call, 'debug call', own, own.sinceMs, {
      method: short(call.path),
      kind: call.kind,
      known: call.known,
      peer: call.peer,
      ...(call.principal === undefined ? {} : { principal: short(call.principal.id) }),
      ...(Number.isFinite(call.deadline) ? { left_ms: Math.round(call.deadline - clock.now()) } : {}),
      metadata: JSON.stringify(describeMetadata(call.requestMetadata, state.isShown)),
    });
  },
  onRequestMessage: (message, call, { config, state, clock, log }) => {
    const own = debugged.get(call);
    if (own === undefined) return;
    if (own.messages++ >= config.maxMessages) state.counters.add('messages_left_out');
    else tell(log, call, 'debug request', own, clock.monotonic(), { about_bytes: approximateBytes(message) });
  },
  onResponseMessage: (message, call, { config, state, clock, log }) => {
    const own = debugged.get(call);
    if (own === undefined) return;
    if (own.messages++ >= config.maxMessages) state.counters.add('messages_left_out');
    else tell(log, call, 'debug response', own, clock.monotonic(), { about_bytes: approximateBytes(message) });
  },
  onStatus: (call, filterLine, { config }) => {
    if (debugged.get(call) === undefined || config.trailerScope === undefined) return;
    if (!call.principal?.scopes.has(config.trailerScope)) return;
    call.responseTrailers.set('x-filters', filterLine.slice(0, maxTrailer));
  },
  onEnd: (call, outcome, { config, state, clock, log }) => {
    const own = debugged.get(call);
    if (own === undefined) return;
    tell(log, call, 'debug end', own, clock.monotonic(), {
      code: codeName(outcome.code),
      ...(outcome.error === undefined ? {} : { reason: outcome.error.reason, error: short(outcome.error.message) }),
      request_messages: outcome.requestMessages,
      response_messages: outcome.responseMessages,
      messages_left_out: Math.max(0, own.messages - config.maxMessages),
      trailers: JSON.stringify(describeMetadata(call.responseTrailers, state.isShown)),
      filters: outcome.filterLine(),
    });
  },
});
