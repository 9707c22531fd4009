import { type Call, codeName, defineFilter, globMatcher, newId, schema } from '../../engine/filter.ts';

const maxLogged = 256;
/** Ids that are safe in a header, a log line and a file name. */
const validId = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

function short(text: string): string {
  return text.length <= maxLogged ? text : `${text.slice(0, maxLogged)}…`;
}

function takeRequestId(call: Call, nowMs: number): void {
  const given = call.requestMetadata.get('x-request-id');
  if (given !== undefined && validId.test(given)) call.id = given;
  else if (call.id === '') call.id = newId(nowMs);
}

/**
 * Request ids and the access log: takes a valid `x-request-id` (else keeps the call's own new id), sends it back as a
 * header, and writes one line when the call has ended. Of metadata only the request id is ever logged.
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
  }),
  open: (config) => ({ isQuiet: globMatcher(config.quietPaths) }),
  run: (call, { clock }) => {
    takeRequestId(call, clock.now());
    call.responseHeaders.set('x-request-id', call.id);
  },
  onEnd: (call, outcome, { state, log }) => {
    if (outcome.error === undefined && state.isQuiet(call.path)) return;
    const { principal } = call;
    log.info('call', {
      call_id: call.id,
      method: short(call.path),
      kind: call.kind,
      code: codeName(outcome.code),
      ...(outcome.error === undefined ? {} : { reason: outcome.error.reason }),
      duration_ms: Math.round(outcome.durationMs * 1000) / 1000,
      request_messages: outcome.requestMessages,
      response_messages: outcome.responseMessages,
      ...(principal === undefined ? {} : { principal: short(principal.id), auth: principal.method }),
      peer: call.peer,
      filters: outcome.filterLine(),
    });
  },
});
