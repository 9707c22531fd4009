import type { Refusal } from '../../../proto/gen/showrunner/filters/v1/external_filter_service_pb.ts';
import {
  AppError,
  type Call,
  type CallMetadata,
  Code,
  createCounters,
  defineFilter,
  globMatcher,
  pathMatcher,
  type TextMatcher,
} from '../../engine/filter.ts';
import { askJudge } from './ask-judge.ts';
import { type ExternalConfig, externalConfig } from './external-config.ts';

const reasonForm = /^[A-Z][A-Z0-9_]{0,62}$/;
const codes = new Set<number>(Object.values(Code));

function refusedBy({ code, reason, message, retryAfter }: Refusal): AppError {
  return new AppError({
    code: code !== Code.OK && codes.has(code) ? (code as Code) : Code.PERMISSION_DENIED,
    reason: reasonForm.test(reason) ? reason : 'EXTERNAL_REFUSED',
    message: message === '' ? 'the call was refused' : message.slice(0, 1000),
    ...(retryAfter === undefined ? {} : { retryAfterMs: Number(retryAfter.seconds) * 1000 + retryAfter.nanos / 1e6 }),
  });
}

function unjudged(cause: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'EXTERNAL_FILTER_AWAY',
    message: 'the server that judges calls gave no verdict, and calls are not allowed without one',
    cause,
  });
}

function createCounts() {
  return createCounters('showrunner.external_filter', {
    refused: 'Calls that the judge refused.',
    unjudged: 'Calls that the judge could not be asked about in time.',
    unobserved: 'Calls that the judge was not told of, because it was told of too many.',
    keys_left_out: 'Metadata that the judge wanted to set and may not, or that cannot be sent.',
  });
}

/** Sets what is allowed; what belongs to the transport or to credentials never is. */
function write(
  into: CallMetadata,
  wanted: Readonly<Record<string, string>>,
  isAllowed: TextMatcher,
  counters: ReturnType<typeof createCounts>,
): void {
  for (const [name, value] of Object.entries(wanted)) {
    const key = name.toLowerCase();
    const isReserved = key.startsWith(':') || key.startsWith('grpc-') || key === 'authorization' || key === 'x-api-key';
    if (isReserved || key.endsWith('-bin') || !isAllowed(key) || !isSet(into, key, value)) {
      counters.add('keys_left_out');
    }
  }
}

/** False for what HTTP/2 cannot carry. */
function isSet(into: CallMetadata, key: string, value: string): boolean {
  try {
    into.set(key, value);
    return true;
  } catch {
    return false;
  }
}

function openState(config: ExternalConfig) {
  return {
    target: config.target ?? '',
    isJudged: pathMatcher(config.paths),
    maySetRequest: globMatcher(config.requestMetadata),
    maySetResponse: globMatcher(config.responseHeaders),
    counters: createCounts(),
    observed: 0,
  };
}

/**
 * Lets a process of its own judge calls, by gRPC (`showrunner.filters.v1.ExternalFilterService`): it refuses, sets
 * allowed metadata, or is only told (`observe`). A crash, a leak or a loop there costs the calls no more than
 * `timeoutMs`. Without a verdict calls are refused, UNAVAILABLE EXTERNAL_FILTER_AWAY, or pass, as configured.
 */
export const filter = defineFilter({
  id: 'showrunner.external',
  version: '1.0.0',
  type: 'inbound',
  // After authentication, which says who calls.
  order: -450,
  category: 'access',
  failurePolicy: 'closed',
  timeoutMs: 61_000,
  config: externalConfig,
  isEnabled: ({ enabled }) => enabled,
  open: openState,
  shouldRun: (call, { state }) => state.isJudged(call.path),
  run: (call, ctx) => {
    const { config, state, clock, origins } = ctx;
    const judge = { origins, target: state.target, clock, config };
    if (config.mode === 'observe') {
      if (state.observed >= config.maxObserved) {
        state.counters.add('unobserved');
        return;
      }
      state.observed++;
      const told = () => {
        state.observed--;
      };
      askJudge(call, judge, undefined)
        .catch(() => state.counters.add('unjudged'))
        .finally(told);
      return;
    }
    return askJudge(call, judge, ctx.signal).then(
      (verdict) => apply(call, verdict, state),
      (error: unknown) => {
        state.counters.add('unjudged');
        if (config.unjudged === 'refuse') throw unjudged(error);
      },
    );
  },
});

function apply(
  call: Call,
  verdict: Awaited<ReturnType<typeof askJudge>>,
  { maySetRequest, maySetResponse, counters }: ReturnType<typeof openState>,
): void {
  if (verdict.refusal !== undefined) {
    counters.add('refused');
    throw refusedBy(verdict.refusal);
  }
  write(call.requestMetadata, verdict.requestMetadata, maySetRequest, counters);
  write(call.responseHeaders, verdict.responseHeaders, maySetResponse, counters);
}
