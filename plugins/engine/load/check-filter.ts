import { Code } from '../../../server/core/codes.ts';
import type { FieldViolation } from '../../../server/core/errors.ts';
import { callPriorities } from '../contract/call-keys.ts';
import { type Schema, schema } from '../contract/config-schema.ts';
import {
  type Filter,
  type FilterIsolation,
  type FilterNeeds,
  failurePolicies,
  filterCategories,
  filterIsolations,
  filterNeeds,
  filterTypes,
} from '../filter.ts';
import { filterInvalid } from '../filter-errors.ts';

const idPattern = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/;
const versionPattern = /^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]{1,32})?$/;
const messageHooks = ['onRequestMessage', 'onResponseMessage'] as const;
const placement = schema.optional(schema.list(schema.text(1, 100), 100));
const hooks = ['run', ...messageHooks, 'onRequestBody', 'onStatus', 'onEnd'] as const;
const optionalFunctions = ['isEnabled', 'open', 'close', 'shouldRun', 'onFailure', ...hooks] as const;
const fields: ReadonlySet<string> = new Set([
  ...['id', 'version', 'description', 'type', 'order', 'category', 'match', 'needs', 'maxBodyBytes', 'isolation'],
  ...[
    'timeoutMs',
    'maxConcurrent',
    'failurePolicy',
    'config',
    'selfTest',
    'messageKinds',
    'after',
    'before',
    'failureCode',
    'messages',
    'provides',
    'requires',
    'followsReloads',
  ],
  ...optionalFunctions,
]);

const globs = schema.optional(schema.list(schema.text(1, 256), 100));
const kinds = schema.optional(schema.list(schema.oneOf('unary', 'client_stream', 'server_stream', 'bidi_stream'), 4));
const failureCodes = Object.keys(Code).filter((name) => name !== 'OK');
const matchSchema = schema.shape({
  services: globs,
  methods: globs,
  kinds,
  known: schema.optional(schema.flag()),
  metadata: schema.optional(
    schema.table({
      expects: 'true, false, text or a list of texts',
      read: (raw, at, faults) => {
        const isTexts = Array.isArray(raw) && raw.length > 0 && raw.every((item) => typeof item === 'string');
        if (typeof raw === 'boolean' || typeof raw === 'string' || isTexts) return raw;
        faults.push({ field: at, description: 'expected true, false, text or a list of texts' });
        return undefined;
      },
    }),
  ),
  scope: schema.optional(schema.text(1, 256)),
  priorities: schema.optional(schema.list(schema.oneOf(...callPriorities), 4)),
  percent: schema.optional(schema.number(0, 100)),
});

const anything: Schema<unknown> = { expects: 'any value', read: (raw) => raw };
const calls = schema.shape({
  path: schema.optional(schema.text(1, 1024)),
  kind: schema.optional(schema.oneOf('unary', 'client_stream', 'server_stream', 'bidi_stream')),
  known: schema.optional(schema.flag()),
  metadata: anything,
  principal: anything,
  peer: schema.optional(schema.text(1, 256)),
  deadlineMs: schema.optional(schema.number(0, 1e9)),
});
const texts = schema.optional(schema.table(schema.text(0)));
const selfTests = schema.list(
  schema.shape({
    name: schema.text(1, 200),
    config: anything,
    call: schema.optional(calls),
    requests: schema.optional(schema.list(anything)),
    endpointError: schema.optional(schema.shape({ code: schema.integer(1, 16), reason: schema.text(1, 63) })),
    expect: {
      expects: 'passes, skips, answers, { answers } or { refuses }',
      read: (raw, at, faults) => {
        const { answers, refuses } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
        const isWord = raw === 'passes' || raw === 'skips' || raw === 'answers';
        if (isWord || Array.isArray(answers) || typeof refuses === 'string') return;
        faults.push({ field: at, description: 'expected passes, skips, answers, { answers } or { refuses }' });
      },
    },
    headers: texts,
    trailers: texts,
    principal: schema.optional(schema.text(1, 256)),
  }),
  100,
);

const keys = schema.optional(
  schema.list<unknown>(
    {
      expects: 'a context key',
      read: (raw, field, faults) => {
        const { name, get, set } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
        if (typeof name === 'string' && typeof get === 'function' && typeof set === 'function') return;
        faults.push({ field, description: 'expected a key, as contextKey makes it' });
      },
    },
    100,
  ),
);

/** A message schema of generated code. */
const messageSchema = schema.optional<unknown>({
  expects: 'the schema of a message',
  read: (raw, field, faults) => {
    const { kind, typeName } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
    if (kind === 'message' && typeof typeName === 'string') return;
    faults.push({ field, description: 'expected the schema of a message, as generated code exports it' });
  },
});

/** Checks the plain data of a filter, each field with a schema. */
const dataSchemas = {
  id: {
    expects: 'namespace.name in lower case',
    read: (raw: unknown, field: string, faults: FieldViolation[]) => {
      if (typeof raw !== 'string' || raw.length > 100 || !idPattern.test(raw)) {
        faults.push({ field, description: 'expected namespace.name in lower case, at most 100 characters' });
      }
    },
  },
  version: {
    expects: 'major.minor.patch',
    read: (raw: unknown, field: string, faults: FieldViolation[]) => {
      if (typeof raw !== 'string' || !versionPattern.test(raw)) {
        faults.push({ field, description: 'expected major.minor.patch' });
      }
    },
  },
  description: schema.optional(schema.text(1, 500)),
  type: schema.oneOf(...filterTypes),
  order: schema.number(-1e9, 1e9),
  category: schema.oneOf(...filterCategories),
  timeoutMs: schema.optional(schema.number(1, 600_000)),
  maxConcurrent: schema.optional(schema.integer(1, 1_000_000)),
  failurePolicy: schema.optional(schema.oneOf(...failurePolicies)),
  failureCode: schema.optional(schema.oneOf(...failureCodes)),
  after: placement,
  before: placement,
  messageKinds: kinds,
  followsReloads: schema.optional(schema.flag()),
  match: schema.optional(matchSchema),
  provides: keys,
  requires: keys,
  messages: schema.optional(schema.shape({ request: messageSchema, response: messageSchema })),
  needs: schema.optional(schema.oneOf(...filterNeeds)),
  maxBodyBytes: schema.optional(schema.integer(1, 2 ** 30)),
  isolation: schema.optional(schema.oneOf(...filterIsolations)),
  selfTest: schema.optional(selfTests),
} as const;

/** What the hooks of a filter look at. */
export function needsOf(filter: Partial<Record<string, unknown>>): FilterNeeds {
  if (filter['onRequestBody'] !== undefined) return 'body';
  return messageHooks.some((name) => filter[name] !== undefined) ? 'messages' : 'headers';
}

/** A type without a hook for it is a mistake. */
function checkMessages(given: Record<string, unknown>, faults: FieldViolation[]): void {
  const { request, response } = (given['messages'] ?? {}) as { request?: unknown; response?: unknown };
  if (request !== undefined && given['onRequestMessage'] === undefined && given['onRequestBody'] === undefined) {
    faults.push({ field: 'messages.request', description: 'goes with onRequestMessage or onRequestBody' });
  }
  if (response !== undefined && given['onResponseMessage'] === undefined) {
    faults.push({ field: 'messages.response', description: 'goes with onResponseMessage' });
  }
}

function checkNeeds(given: Record<string, unknown>, isolation: unknown, faults: FieldViolation[]): void {
  const needs = needsOf(given);
  const declared = given['needs'];
  if (declared !== undefined && filterNeeds.indexOf(needs) > filterNeeds.indexOf(declared as FilterNeeds)) {
    faults.push({ field: 'needs', description: `its hooks need ${needs}` });
  }
  if (needs === 'body' && given['type'] !== 'inbound' && given['type'] !== 'endpoint') {
    faults.push({ field: 'onRequestBody', description: 'is for inbound and endpoint filters' });
  }
  if (isolation !== 'worker') return;
  if (given['type'] !== 'inbound') faults.push({ field: 'type', description: 'only inbound filters run in a worker' });
  for (const name of ['provides', 'requires']) {
    if (given[name] !== undefined) faults.push({ field: name, description: 'a filter in a worker has no attributes' });
  }
  for (const name of hooks) {
    if (name === 'run' || given[name] === undefined) continue;
    faults.push({ field: name, description: 'a filter in a worker has no other hook than run' });
  }
}

/**
 * Checks what a filter file exports as `filter`; throws FILTER_INVALID that names the file and each faulty field.
 * `isolation` is where it will run, if that is not for the filter to say.
 */
export function checkFilter(exported: unknown, file: string, isolation?: FilterIsolation): Filter<unknown, unknown> {
  if (typeof exported !== 'object' || exported === null) {
    const description = 'expected `export const filter = defineFilter({ … })`';
    throw filterInvalid(file, [{ field: 'filter', description }]);
  }
  const given = exported as Record<string, unknown>;
  const faults: FieldViolation[] = [];
  for (const [name, field] of Object.entries(dataSchemas)) field.read(given[name], name, faults);
  for (const name of optionalFunctions) {
    if (given[name] !== undefined && typeof given[name] !== 'function') {
      faults.push({ field: name, description: 'expected a function' });
    }
  }
  for (const name of Object.keys(given)) {
    if (!fields.has(name)) faults.push({ field: name, description: 'no such field of a filter' });
  }
  if ((given['failurePolicy'] === 'fallback') !== (given['onFailure'] !== undefined)) {
    faults.push({ field: 'onFailure', description: 'goes with the failure policy fallback' });
  }
  if (hooks.every((name) => given[name] === undefined)) {
    faults.push({ field: 'run', description: `expected one of ${hooks.join(', ')}` });
  }
  checkMessages(given, faults);
  checkNeeds(given, isolation ?? given['isolation'], faults);
  const config = given['config'] as { read?: unknown } | undefined;
  if (config !== undefined && typeof config?.read !== 'function') {
    faults.push({ field: 'config', description: 'expected a schema' });
  }
  for (const key of Object.keys((given['match'] as { metadata?: object } | undefined)?.metadata ?? {})) {
    if (!/^[a-z0-9_.-]+$/.test(key)) {
      faults.push({ field: `match.metadata.${key}`, description: 'expected a metadata key in lower case' });
    }
  }
  if (faults.length > 0) throw filterInvalid(file, faults);
  return exported as Filter<unknown, unknown>;
}
