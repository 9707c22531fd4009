import {
  AppError,
  type Call,
  type Clock,
  type Code,
  codeName,
  contextKey,
  createCounters,
  createSeededRandom,
  defineFilter,
  globMatcher,
  type Random,
} from '../../engine/filter.ts';
import { type Fault, findCode, parseFault } from './fault.ts';
import { type FaultConfig, faultConfig } from './fault-config.ts';

const header = 'x-fault';
const marker = 'x-fault-injected';

interface Active {
  readonly fault: Fault;
  /** When the next message may pass, monotonic ms, by direction. */
  readonly nextAt: { request: number; response: number };
  responses: number;
}

const active = contextKey<Active>('fault_active');

function injected(code: Code): AppError {
  const message = 'this failure was injected on purpose';
  return new AppError({ code, reason: 'FAULT_INJECTED', message, metadata: { code: codeName(code) } });
}

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

/** The wait until the next message may pass; undefined when it may now. */
function paced(
  own: Active | undefined,
  direction: 'request' | 'response',
  clock: Clock,
  signal: () => AbortSignal,
): Promise<void> | undefined {
  const rate = own?.fault.messagesPerSecond;
  if (own === undefined || rate === undefined) return undefined;
  const now = clock.monotonic();
  const at = Math.max(now, own.nextAt[direction]);
  own.nextAt[direction] = at + 1000 / rate;
  return at > now ? clock.sleep(at - now, signal()) : undefined;
}

/**
 * Faults on purpose, to see what callers and breakers make of them: refuses calls, ends streams after some messages,
 * delays calls, slows messages down. By rules with a share of the calls, and by the `x-fault` header of callers that
 * are allowed to (`abort=UNAVAILABLE;after=2;delay=100;rate=5`). Answers carry the trailer `x-fault-injected`.
 */
export const filter = defineFilter({
  id: 'showrunner.fault-injection',
  version: '1.0.0',
  type: 'inbound',
  // Last, so that breakers and limits see the faults as they would see real ones.
  order: -100,
  category: 'chaos',
  failurePolicy: 'open',
  timeoutMs: 600_000,
  config: faultConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, { random }) => {
    const { rules, seed } = config;
    const faulty = rules.findIndex(({ abort, abortAfter }) => abort === undefined && abortAfter !== undefined);
    if (faulty >= 0) throw new Error(`rules[${faulty}]: abortAfter needs abort`);
    return {
      faultOf: faultFinder(config, seed === undefined ? random : createSeededRandom(seed)),
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
    const now = clock.monotonic();
    active.set(call, { fault, nextAt: { request: now, response: now }, responses: 0 });
    const { abort, abortAfter, delayMs, messagesPerSecond } = fault;
    const kinds = [abort && 'abort', delayMs && 'delay', messagesPerSecond && 'throttle'].filter((kind) => kind);
    const text = kinds.join(',');
    call.responseTrailers.set(marker, text);
    state.counters.add('injected', { kind: text });
    const refuse = () => {
      if (abort !== undefined && abortAfter === undefined) throw injected(abort);
    };
    if (delayMs === undefined) {
      refuse();
      return;
    }
    return clock.sleep(delayMs, signal).then(refuse);
  },
  onRequestMessage: (_message, call, ctx) => paced(active.get(call), 'request', ctx.clock, () => ctx.signal),
  onResponseMessage: (_message, call, ctx) => {
    const own = active.get(call);
    if (own === undefined) return undefined;
    const { abort, abortAfter } = own.fault;
    if (abort !== undefined && abortAfter !== undefined && own.responses++ >= abortAfter) throw injected(abort);
    return paced(own, 'response', ctx.clock, () => ctx.signal);
  },
  onEnd: (call, _outcome, { state }) => {
    if (active.get(call) !== undefined) state.count.active--;
  },
});
