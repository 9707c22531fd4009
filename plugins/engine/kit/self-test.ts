import { isDeepStrictEqual } from 'node:util';
import { create, type DescMessage, isMessage } from '@bufbuild/protobuf';
import type { Answer, Call, CallSession } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { Code } from '../../../server/core/codes.ts';
import { droppedMessage } from '../../../server/core/dropped-message.ts';
import { AppError } from '../../../server/core/errors.ts';
import { createCallRecords, tracesOf } from '../call/call-record.ts';
import { createSession } from '../call/session.ts';
import { filterLoadFailed } from '../filter-errors.ts';
import { createFilterFaults } from '../filter-faults.ts';
import { createFilterMetrics } from '../filter-metrics.ts';
import { type LoadedFilter, type OpenFilterOptions, openFilter } from '../load/loaded-filter.ts';
import { createSnapshot } from '../set/snapshot.ts';
import { withDeadline } from '../with-deadline.ts';
import { createSampleCall } from './sample-call.ts';
import type { SelfTest, SelfTestExpectation } from './self-test-case.ts';

/** A case without what is expected of it. */
export type SelfTestInput = Pick<SelfTest, 'call' | 'requests' | 'endpointError'>;

/** What came out of a case: one of the words, or what was answered or refused. */
export interface SelfTestOutcome {
  readonly outcome: 'passes' | 'skips' | 'answers' | 'refuses';
  readonly answers: readonly unknown[];
  readonly reason: string;
}

/** The message as a server would hand it to hooks of that type; plain fields are an init of it. */
function typed(message: unknown, desc: DescMessage | undefined): unknown {
  if (desc === undefined || isMessage(message, desc)) return message;
  const hasFields = typeof message === 'object' && message !== null && !ArrayBuffer.isView(message);
  // The endpoint of a case echoes its requests: their fields become those of the response.
  return create(desc, hasFields ? { ...message } : {});
}

function typedRequests(test: SelfTestInput, { messages }: LoadedFilter): SelfTestInput {
  if (messages?.request === undefined) return test;
  return { ...test, requests: (test.requests ?? [{}]).map((message) => typed(message, messages.request)) };
}

async function readAnswer(session: CallSession, test: SelfTestInput, answer: Answer, call: Call): Promise<unknown[]> {
  if ('messages' in answer) return [...answer.messages];
  async function* requests() {
    for (const message of test.requests ?? [{}]) {
      const seen = (await session.requestMessage?.(message)) ?? message;
      if (seen !== droppedMessage) yield seen;
    }
  }
  async function* local(given: AsyncIterable<unknown>) {
    yield* given;
  }
  return Array.fromAsync(answer.respond(requests(), { call, sendHeaders: () => {}, local }));
}

/** Takes the call of a case through a chain of one filter, in the order of the contract in server/core/call.ts. */
async function pass(
  session: CallSession,
  test: SelfTestInput,
  call: Call,
  response: DescMessage | undefined,
): Promise<readonly unknown[] | undefined> {
  const answer = await session.inbound?.();
  let given: readonly unknown[] = [];
  let isAnswered = false;
  if (answer !== undefined) {
    given = await readAnswer(session, test, answer, call);
    isAnswered = 'messages' in answer || !isDeepStrictEqual(given, test.requests ?? [{}]);
  } else {
    for (const message of test.requests ?? [{}]) await session.requestMessage?.(message);
    const { endpointError } = test;
    if (endpointError !== undefined) {
      const { code, reason } = endpointError;
      throw new AppError({ code: code as Code, reason, message: 'error of the endpoint' });
    }
    given = test.requests ?? [{}];
  }
  for (const message of given) await session.responseMessage?.(typed(message, response));
  await session.outbound?.();
  return isAnswered ? given : undefined;
}

/** Takes one call through a chain of this filter alone; the filter is closed afterwards unless somebody holds it. */
export async function takeCase(
  filter: LoadedFilter,
  test: SelfTestInput,
  call: Call,
  clock: Clock,
): Promise<SelfTestOutcome> {
  const snapshot = createSnapshot(0, [filter], new Set());
  const metrics = createFilterMetrics();
  const records = createCallRecords(1);
  const chain = snapshot.chainFor(call);
  const session = createSession(call, chain, snapshot, {
    clock,
    records,
    metrics,
    faults: createFilterFaults(clock, metrics),
  });
  let error: AppError | undefined;
  let answers: readonly unknown[] | undefined;
  try {
    answers = await pass(session, typedRequests(test, filter), call, filter.messages?.response);
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    error = (await session.error?.(thrown)) ?? thrown;
  } finally {
    const counts = { requestMessages: test.requests?.length ?? 1, responseMessages: answers?.length ?? 1 };
    session.end?.({ code: error?.code ?? Code.OK, error, durationMs: 0, ...counts });
    await snapshot.retire();
  }
  const record = records.find(call.id);
  const status = record && tracesOf(record)[0]?.status;
  const isOut = status === undefined || status === 'skipped' || status === 'disabled';
  const outcome = error ? 'refuses' : answers ? 'answers' : isOut ? 'skips' : 'passes';
  return { outcome, answers: answers ?? [], reason: error?.reason ?? '' };
}

function expectedText(expected: SelfTestExpectation): string {
  if (typeof expected === 'string') return expected;
  return 'refuses' in expected ? `refuses ${expected.refuses}` : `answers ${expected.answers.length} message(s)`;
}

function isExpected(seen: SelfTestOutcome, expected: SelfTestExpectation): boolean {
  if (typeof expected === 'string') return seen.outcome === expected;
  if ('refuses' in expected) return seen.outcome === 'refuses' && seen.reason === expected.refuses;
  return seen.outcome === 'answers' && isDeepStrictEqual(seen.answers, expected.answers);
}

function metadataFault(test: SelfTest, call: Call): string | undefined {
  for (const [what, metadata] of [
    ['headers', call.responseHeaders],
    ['trailers', call.responseTrailers],
  ] as const) {
    for (const [key, value] of Object.entries(test[what] ?? {})) {
      if (metadata.get(key) !== value) return `expected ${key} "${value}" in the ${what}, got "${metadata.get(key)}"`;
    }
  }
  if (test.principal === undefined || call.principal?.id === test.principal) return undefined;
  return `expected principal ${test.principal}, got ${call.principal?.id ?? 'none'}`;
}

/**
 * Runs the author's cases, each on a fresh instance. Throws FILTER_LOAD_FAILED that names the first that comes out
 * otherwise.
 */
export async function runSelfTests(options: OpenFilterOptions): Promise<void> {
  const { definition, file, clock, openTimeoutMs } = options;
  for (const test of definition.selfTest ?? []) {
    const fault = (text: string, cause?: unknown) => filterLoadFailed(file, `self-test "${test.name}": ${text}`, cause);
    const call = createSampleCall(test.call ?? {}, clock, definition.messages);
    const expired = () => fault(`took over ${openTimeoutMs} ms`);
    const seen = await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, async () => {
      const filter = await openFilter({ ...options, rawConfig: test.config ?? options.rawConfig });
      return takeCase(filter, test, call, clock);
    });
    if (!isExpected(seen, test.expect)) {
      const got = seen.outcome === 'refuses' ? `refuses ${seen.reason}` : seen.outcome;
      throw fault(`expected ${expectedText(test.expect)}, got ${got}`);
    }
    const wrong = metadataFault(test, call);
    if (wrong !== undefined) throw fault(wrong);
  }
}
