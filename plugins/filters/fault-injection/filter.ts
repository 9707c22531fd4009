import {
  type Call,
  contextKey,
  createCounters,
  createSeededRandom,
  defineFilter,
  globMatcher,
  type Random,
} from '../../engine/filter.ts';
import { type Fault, findCode, parseFault } from './fault.ts';
import { type FaultConfig, faultConfig } from './fault-config.ts';
import { type ActiveFault, beginFault, injected, passMessage } from './message-faults.ts';

const header = 'x-fault';
const marker = 'x-fault-injected';

const active = contextKey<ActiveFault>('fault_active');

/** Finds the fault of a call, by header where that is allowed, else by rule. */
function faultFinder(config: FaultConfig, random: Random): (call: Call) => Fault | undefined {
  const rules = config.rules.map(({ paths, percent, abort, ...rest }) => ({
    matches: globMatcher(paths),
    percent,
    fault: { ...rest, abort: abort === undefined ? undefined : findCode(abort) },
  }));
  const mayAsk = ({ principal }: Call) =>
    config.header === 'all' || (config.header === 'scope' && principal?.scopes.has(config.headerScope) === true);
  return (call) => {
    const asked = config.header === 'none' ? undefined : call.requestMetadata.get(header);
    if (asked !== undefined && mayAsk(call)) return parseFault(asked);
    return rules.find(({ matches, percent }) => matches(call.path) && random.next() * 100 < percent)?.fault;
  };
}

/** The kinds of what is done, for the trailer and the counter. */
function kindsOf(fault: Fault): string[] {
  const isReset = fault.resetAfter !== undefined;
  return [
    fault.abort !== undefined && !isReset && 'abort',
    fault.delayMs && 'delay',
    fault.messagesPerSecond && 'throttle',
    (fault.dropRequests || fault.dropResponses) && 'drop',
    isReset && 'reset',
  ].filter((kind) => typeof kind === 'string');
}

/**
 * Faults on purpose, to see what callers and breakers make of them: refuses calls, ends or resets streams after some
 * messages, delays calls, slows messages down or loses them. By rules with a share of the calls, and by the `x-fault`
 * header of callers that are allowed to (see `parseFault`). Answers carry the trailer `x-fault-injected`.
 */
export const filter = defineFilter({
  id: 'showrunner.fault-injection',
  version: '1.1.0',
  type: 'inbound',
  // Last, so that breakers and limits see the faults as they would see real ones.
  order: -100,
  category: 'chaos',
  failurePolicy: 'open',
  timeoutMs: 600_000,
  config: faultConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, { random }) => {
    const { seed } = config;
    const own = seed === undefined ? random : createSeededRandom(seed);
    return {
      faultOf: faultFinder(config, own),
      random: own,
      isExempt: globMatcher(config.exemptPaths),
      /** Calls with a fault that have not ended. */
      count: { active: 0 },
      counters: createCounters('showrunner.fault_injection', {
        injected: 'Calls that got a fault, by kind.',
        left_out: 'Calls that got none because too many had one.',
      }),
    };
  },
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, { config, state, clock, signal }) => {
    const fault = state.faultOf(call);
    if (fault === undefined) return;
    if (state.count.active >= config.maxActive) {
      state.counters.add('left_out');
      return;
    }
    state.count.active++;
    active.set(call, beginFault(fault, call.kind, clock.monotonic(), state.random));
    const { abort, abortAfter, delayMs, resetAfter } = fault;
    const kinds = kindsOf(fault);
    const text = kinds.join(',');
    call.responseTrailers.set(marker, text);
    state.counters.add('injected', { kind: text });
    const refuse = () => {
      if (abort !== undefined && abortAfter === undefined && resetAfter === undefined) throw injected(abort);
    };
    if (delayMs === undefined) {
      refuse();
      return;
    }
    return clock.sleep(delayMs, signal).then(refuse);
  },
  onRequestMessage: (_message, call, ctx) => passMessage(active.get(call), 'request', call, ctx),
  onResponseMessage: (_message, call, ctx) => passMessage(active.get(call), 'response', call, ctx),
  onEnd: (call, _outcome, { state }) => {
    if (active.get(call) !== undefined) state.count.active--;
  },
});
