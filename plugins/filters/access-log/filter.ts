import {
  type Call,
  type CallOutcome,
  type Clock,
  codeName,
  defineFilter,
  newId,
  pathMatcher,
  type Random,
  schema,
} from '../../engine/filter.ts';

const maxLogged = 256;
/** Ids that are safe in a header, a log line and a file name. */
const validId = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

function short(text: string): string {
  return text.length <= maxLogged ? text : `${text.slice(0, maxLogged)}…`;
}

function takeRequestId(call: Call, clock: Clock): void {
  const given = call.requestMetadata.get('x-request-id');
  if (given !== undefined && validId.test(given)) call.id = given;
  else if (call.id === '') call.id = newId(clock.now());
}

interface AccountRule {
  readonly accounts: 'some' | 'all';
  readonly slowMs: number;
  readonly samplePercent: number;
}

function hasAccount(call: Call, { error, durationMs }: CallOutcome, rule: AccountRule, random: Random): boolean {
  if (rule.accounts === 'all' || error !== undefined) return true;
  if (call.kind === 'unary' && durationMs > rule.slowMs) return true;
  return rule.samplePercent > 0 && random.next() * 100 < rule.samplePercent;
}

/**
 * Request ids and the access log: takes a valid `x-request-id` (else keeps the call's own new id), sends it back as a
 * header, and writes one line when the call has ended, with the account of its filters where it is of interest. Of
 * metadata only the request id is ever logged.
 */
export const filter = defineFilter({
  id: 'showrunner.access-log',
  version: '1.0.0',
  type: 'inbound',
  // First of all, so that refused calls have their line too.
  order: -1000,
  category: 'observability',
  failurePolicy: 'open',
  config: schema.shape({
    /** Globs on paths whose successful calls are not logged, e.g. `/grpc.health.v1.Health/*`. */
    quietPaths: schema.withDefault(schema.list(schema.text(1, 256), 100), []),
    /**
     * Which lines have the account of the filters, three quarters of a line's length: `all`, or `some`: those of failed
     * and slow calls, and a sample of the others. Every line has the time in all filters together.
     */
    accounts: schema.withDefault(schema.oneOf('some', 'all'), 'some'),
    /** A unary call that takes longer is slow, ms. */
    slowMs: schema.withDefault(schema.number(0, 3_600_000), 1000),
    /** Percent of the other calls that have the account. */
    samplePercent: schema.withDefault(schema.number(0, 100), 1),
  }),
  open: (config) => ({ isQuiet: pathMatcher(config.quietPaths) }),
  run: (call, { clock }) => {
    takeRequestId(call, clock);
    call.responseHeaders.set('x-request-id', call.id);
  },
  onEnd: (call, outcome, { config, state, log, random }) => {
    if (outcome.error === undefined && state.isQuiet(call.path)) return;
    const { principal } = call;
    // Absent values are left out by the logger; leaving them out here would copy the fields once for each.
    log.info('call', {
      call_id: call.id,
      method: short(call.path),
      kind: call.kind,
      code: codeName(outcome.code),
      reason: outcome.error?.reason,
      duration_ms: Math.round(outcome.durationMs * 1000) / 1000,
      request_messages: outcome.requestMessages,
      response_messages: outcome.responseMessages,
      principal: principal && short(principal.id),
      auth: principal?.method,
      peer: call.peer,
      filters_us: Math.round(outcome.filterNs() / 1000),
      filters: hasAccount(call, outcome, config, random) ? outcome.filterLine() : undefined,
    });
  },
});
