import {
  AppError,
  type Call,
  Code,
  callKey,
  callKeyKinds,
  contextKey,
  createCounters,
  createKeyedTable,
  deadlineOf,
  defineFilter,
  globMatcher,
  limiterUse,
  loadSignals,
  localRefusal,
  pathMatcher,
  type SchemaValue,
  schema,
} from '../../engine/filter.ts';
import { type Bulkhead, createBulkhead, type Ticket } from './bulkhead.ts';

const id = 'showrunner.bulkhead';
const { withDefault } = schema;
const ticketOf = contextKey<Ticket>('bulkhead_ticket');

/** From this use of the concurrency limit on the process is pressed. */
const pressedFrom = 0.9;

const bulkheadConfig = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** What has permits of its own. */
  by: withDefault(schema.oneOf(...callKeyKinds), 'service'),
  /** Most calls at once per key. */
  limit: withDefault(schema.integer(1, 100_000), 100),
  /** Another limit by glob on the key; the first match counts. */
  limits: withDefault(
    schema.list(schema.shape({ key: schema.text(1, 256), limit: schema.integer(0, 100_000) }), 100),
    [],
  ),
  /** Share of the limits that is left while the adaptive concurrency limit is nearly reached; 1 = all. */
  pressedShare: withDefault(schema.number(0, 1), 1),
  /** Most calls that wait, per key. */
  maxQueue: withDefault(schema.integer(0, 10_000), 100),
  order: withDefault(schema.oneOf('FIFO', 'LIFO'), 'FIFO'),
  /** Longest wait, ms; never longer than the caller waits. */
  maxWaitMs: withDefault(schema.integer(0, 55_000), 0),
  /** Most keys; the one used longest ago makes room, idle ones first. */
  maxKeys: withDefault(schema.integer(1, 1e6), 10_000),
  /** Globs on paths without a limit. */
  exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), ['/grpc.health.v1.Health/*', '/grpc.reflection.*/*']),
});

type BulkheadConfig = SchemaValue<typeof bulkheadConfig>;

interface Compartment {
  readonly bulkhead: Bulkhead;
  /** Its limit while there is no pressure. */
  readonly limit: number;
}

function bulkheadFull(call: Call, { by }: BulkheadConfig, { limit, drainMs }: Bulkhead): AppError {
  const waitMs = Math.max(10, Math.ceil(drainMs()));
  call.responseTrailers.set('grpc-retry-pushback-ms', String(waitMs));
  localRefusal.set(call, id);
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'BULKHEAD_FULL',
    message: `${limit} calls of the same ${by} are under way, as many as are allowed`,
    metadata: { by, limit: String(limit) },
    retryAfterMs: waitMs,
  });
}

function createState(config: BulkheadConfig, clock: Parameters<typeof createBulkhead>[0]['clock']) {
  const limits = config.limits.map(({ key, limit }) => ({ matches: globMatcher([key]), limit }));
  const counters = createCounters('showrunner.bulkhead', {
    refused: 'Calls refused because all permits were out, by what became of their wait.',
    waited: 'Calls that got a permit after a wait.',
    evicted: 'Keys that made room for others.',
  });
  return {
    counters,
    isExempt: pathMatcher(config.exemptPaths),
    compartments: createKeyedTable<Compartment>({
      maxKeys: config.maxKeys,
      create: (key) => {
        const limit = limits.find(({ matches }) => matches(key))?.limit ?? config.limit;
        const { maxQueue, order } = config;
        return { limit, bulkhead: createBulkhead({ limit, maxQueue, order, clock }) };
      },
      isDisposable: ({ bulkhead }) => bulkhead.held === 0 && bulkhead.waiting === 0,
      onEvict: () => counters.add('evicted'),
    }),
  };
}

function refuseUnlessGranted(
  call: Call,
  { state: outcome }: Ticket,
  config: BulkheadConfig,
  { counters }: ReturnType<typeof createState>,
  bulkhead: Bulkhead,
): void {
  if (outcome === 'granted') return;
  counters.add('refused', { state: outcome });
  throw bulkheadFull(call, config, bulkhead);
}

/**
 * Bulkhead: so many calls at once per service, method or principal, so that one of them cannot take all there is. Who
 * finds no permit waits in a bounded queue as long as is allowed and the caller waits, or is refused with UNAVAILABLE
 * BULKHEAD_FULL. A changed configuration makes new permits: those of calls under way are not counted among them.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  order: -250,
  category: 'resilience',
  failurePolicy: 'open',
  timeoutMs: 60_000,
  maxConcurrent: 1_000_000,
  config: bulkheadConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, { clock }) => createState(config, clock),
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, ctx) => {
    const { config, state, clock } = ctx;
    const { bulkhead, limit } = state.compartments.get(callKey(call, config.by));
    if (config.pressedShare < 1) {
      const isPressed = loadSignals.read(limiterUse) >= pressedFrom;
      const wanted = isPressed ? Math.ceil(limit * config.pressedShare) : limit;
      if (wanted !== bulkhead.limit) bulkhead.setLimit(wanted);
    }
    const mayWait = config.maxWaitMs > 0 && config.maxQueue > 0;
    const waitMs = mayWait ? Math.min(config.maxWaitMs, deadlineOf(call) - clock.now()) : 0;
    const ticket = bulkhead.request(waitMs, ctx.nowMs);
    ticketOf.set(call, ticket);
    if (ticket.settled === undefined) {
      refuseUnlessGranted(call, ticket, config, state, bulkhead);
      return;
    }
    // The call may be given up while it waits: its place in the queue must not outlive it. A permit goes back at the end.
    const giveUp = () => {
      if (ticket.state === 'waiting') ticket.release();
    };
    // Asked for only now: a signal costs more than all else here.
    ctx.signal.addEventListener('abort', giveUp, { once: true });
    return ticket.settled.then(() => {
      refuseUnlessGranted(call, ticket, config, state, bulkhead);
      state.counters.add('waited');
    });
  },
  onEnd: (call, _outcome, { nowMs }) => ticketOf.get(call)?.release(nowMs),
});
