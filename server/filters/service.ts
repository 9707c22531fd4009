import type { DescService, MessageShape } from '@bufbuild/protobuf';
import {
  FilterAdminService,
  type FilterSourceSchema,
  type PromoteFiltersRequestSchema,
} from '../../proto/gen/showrunner/filters/v1/filter_admin_service_pb.ts';
import { FilterStage } from '../../proto/gen/showrunner/filters/v1/filter_pb.ts';
import type { CallKind } from '../core/call.ts';
import { type FieldViolation, invalidField, invalidFields } from '../core/errors.ts';
import { findResourceIds, readResourceName } from '../rpc/edge/resource-name.ts';
import { createStreamSlots } from '../rpc/edge/stream-slots.ts';
import { toTimestamp } from '../rpc/edge/wkt-time.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import { callNotKept } from './errors.ts';
import type { FilterAdmin, FilterInfo, FilterSourceInfo, MethodInfo } from './filter-admin.ts';
import { toFilterMessage, toRunMessage } from './filter-message.ts';

const filterId = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/;
const versionOrId = /^[a-z0-9][A-Za-z0-9.-]{0,99}$/;
const groupId = /^[0-9a-z]{22}$/;
const maxSources = 50;
const maxSourceBytes = 1024 * 1024;
const maxPrincipals = 1000;
const maxReasonLength = 500;

const stageNames = new Map<FilterStage, 'shadow' | 'canary' | 'active'>([
  [FilterStage.SHADOW, 'shadow'],
  [FilterStage.CANARY, 'canary'],
  [FilterStage.ACTIVE, 'active'],
]);

const kinds: Record<DescService['methods'][number]['methodKind'], CallKind> = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
};

function readPath(path: string, services: readonly DescService[]): MethodInfo {
  const match = /^\/([^/]{1,256})\/([^/]{1,256})$/.exec(path);
  if (match === null) throw invalidField('path', 'must have the form /package.Service/Method');
  const [, service = '', method = ''] = match;
  const desc = services.find(({ typeName }) => typeName === service)?.methods.find(({ name }) => name === method);
  return {
    service,
    method,
    kind: desc === undefined ? 'bidi_stream' : kinds[desc.methodKind],
    known: desc !== undefined,
    requestType: desc?.input.typeName,
    responseType: desc?.output.typeName,
  };
}

function readName(name: string): string {
  return readResourceName('name', name, ['filters'], filterId)[0];
}

function readVersionName(name: string): readonly [id: string, version: string | undefined] {
  const ids = findResourceIds(name, ['filters', 'versions'], versionOrId);
  return ids === undefined || !filterId.test(ids[0]) ? [readName(name), undefined] : ids;
}

function readGroup(group: string): string {
  if (!groupId.test(group)) throw invalidField('group', 'must be the group of a StageFilters response');
  return group;
}

function readSources(sources: readonly MessageShape<typeof FilterSourceSchema>[]): FilterSourceInfo[] {
  const faults: FieldViolation[] = [];
  if (sources.length < 1 || sources.length > maxSources) {
    throw invalidField('sources', `must hold 1 to ${maxSources} filters, got ${sources.length}`);
  }
  const read = sources.map(({ id, source, signature, config }, index) => {
    const at = `sources[${index}]`;
    if (!filterId.test(id)) faults.push({ field: `${at}.id`, description: 'must be namespace.name in lower case' });
    const bytes = Buffer.byteLength(source);
    if (bytes < 1 || bytes > maxSourceBytes) {
      faults.push({ field: `${at}.source`, description: `must have 1 to ${maxSourceBytes} bytes, got ${bytes}` });
    }
    if (signature.length !== 0 && signature.length !== 64) {
      faults.push({ field: `${at}.signature`, description: 'must be an ed25519 signature of 64 bytes' });
    }
    return { id, source, signature: signature.length === 0 ? undefined : signature, config };
  });
  if (faults.length > 0) throw invalidFields(faults);
  return read;
}

function readPromotion(request: MessageShape<typeof PromoteFiltersRequestSchema>) {
  const { share, principals } = request;
  const stage = stageNames.get(request.stage);
  const faults: FieldViolation[] = [];
  if (stage === undefined) throw invalidField('stage', 'must be SHADOW, CANARY or ACTIVE');
  if (stage === 'active') {
    if (share !== 0) faults.push({ field: 'share', description: 'is for SHADOW and CANARY' });
  } else if (!(share > 0 && share <= 1)) {
    faults.push({ field: 'share', description: `must be above 0 and up to 1, got ${share}` });
  }
  if (stage !== 'canary' && principals.length > 0) {
    faults.push({ field: 'principals', description: 'are for CANARY' });
  }
  if (principals.length > maxPrincipals || principals.some((id) => id === '' || id.length > 256)) {
    faults.push({ field: 'principals', description: `must be at most ${maxPrincipals} ids of 1 to 256 characters` });
  }
  if (faults.length > 0) throw invalidFields(faults);
  return { stage, share, principals };
}

/**
 * FilterAdminService of showrunner.filters.v1; `services` are those that the server has, for the kinds of methods.
 * Watches above `maxWatchers` at once are refused.
 */
export function createFilterAdminService(
  admin: FilterAdmin,
  services: () => readonly DescService[],
  maxWatchers = 1_000,
): ServiceRegistration {
  const toMessages = (filters: readonly FilterInfo[]) => ({
    filters: filters.map(toFilterMessage),
    snapshot: BigInt(admin.snapshot),
  });
  const watchers = createStreamSlots(maxWatchers);
  return serviceOf(FilterAdminService, {
    listFilters: async ({ includePast, path }) => {
      const method = path === '' ? {} : { method: readPath(path, services()) };
      return toMessages(admin.list({ includePast, ...method }));
    },
    getFilter: async ({ name }) => ({ filter: toFilterMessage(admin.get(...readVersionName(name))) }),
    stageFilters: async ({ sources }) => {
      const { group, filters } = await admin.stage(readSources(sources));
      return { group, filters: filters.map(toFilterMessage) };
    },
    promoteFilters: async (request) =>
      toMessages(await admin.promote(readGroup(request.group), readPromotion(request))),
    rollbackFilters: async ({ group, reason }) => {
      if (reason.length > maxReasonLength) {
        throw invalidField('reason', `must have at most ${maxReasonLength} characters`);
      }
      return toMessages(await admin.rollback(readGroup(group), reason));
    },
    setFilterDisabled: async ({ name, disabled }) => ({
      filter: toFilterMessage(await admin.setDisabled(readName(name), disabled)),
    }),
    setFilterConfig: async ({ name, config }) => ({
      filter: toFilterMessage(await admin.setConfig(readName(name), config)),
    }),
    explainCall: async ({ callId }) => {
      if (callId === '' || callId.length > 128) throw invalidField('call_id', 'must have 1 to 128 characters');
      const call = admin.explain(callId);
      if (call === undefined) throw callNotKept(callId);
      return {
        path: call.path,
        startTime: toTimestamp(Math.round(call.startMs)),
        runs: call.filters.map(toRunMessage),
        code: call.code,
        snapshot: BigInt(call.snapshotVersion),
      };
    },
    watchFilters: async function* ({ name }, { signal }) {
      const id = name === '' ? undefined : readName(name);
      using _ = watchers.take();
      for await (const filter of admin.watch(id, signal)) {
        yield { filter: toFilterMessage(filter), snapshot: BigInt(admin.snapshot) };
      }
    },
  });
}
