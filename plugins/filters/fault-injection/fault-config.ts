import { type SchemaValue, schema } from '../../engine/filter.ts';
import {
  abortCodes,
  findCode,
  maxAbortAfter,
  maxDelayMs,
  maxMessagesBeforeReset,
  messageRates,
  wrongIn,
} from './fault.ts';

const { optional, withDefault } = schema;

const ruleFields = schema.shape({
  /** Globs on the path. */
  paths: withDefault(schema.list(schema.text(1, 256), 100), ['*']),
  /** Share of these calls that get the fault. */
  percent: withDefault(schema.number(0, 100), 100),
  abort: optional(schema.oneOf(...abortCodes)),
  /** Response messages before the abort; absent = before the handler. */
  abortAfter: optional(schema.integer(1, maxAbortAfter)),
  delayMs: optional(schema.integer(1, maxDelayMs)),
  messagesPerSecond: optional(schema.number(...messageRates)),
  /** Shares of the messages of a stream that never arrive. */
  dropRequests: optional(schema.number(0, 100)),
  dropResponses: optional(schema.number(0, 100)),
  /** Messages, both directions together, before a stream is reset: with `abort`, else UNAVAILABLE. */
  resetAfter: optional(schema.integer(0, maxMessagesBeforeReset)),
  /** Up to so many more, drawn per call. */
  resetSpread: optional(schema.integer(0, maxMessagesBeforeReset)),
});

const rule = schema.where(ruleFields, (fault, tell) => {
  const wrong = wrongIn({ ...fault, abort: fault.abort === undefined ? undefined : findCode(fault.abort) });
  if (wrong !== undefined) tell('', wrong);
});

/** Configuration of `showrunner.fault-injection`. */
export const faultConfig = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** The first rule whose paths match and whose draw falls on the call is applied. */
  rules: withDefault(schema.list(rule, 100), []),
  /** Whose `x-fault` header is obeyed: nobody's, that of callers with `headerScope`, or everybody's. */
  header: withDefault(schema.oneOf('none', 'scope', 'all'), 'none'),
  headerScope: withDefault(schema.text(1, 128), 'faults.inject'),
  /** Most calls with a fault at once; others pass unharmed. */
  maxActive: withDefault(schema.integer(1, 100_000), 100),
  /** With it the same calls in the same order get the same faults. */
  seed: optional(schema.integer(0, 2 ** 32 - 1)),
  /** Globs on paths that never get a fault. */
  exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), [
    '/grpc.health.v1.Health/*',
    '/showrunner.filters.*/*',
  ]),
});

/** The configuration as it was read. */
export type FaultConfig = SchemaValue<typeof faultConfig>;
