import {
  type FileFilter as FilterMessage,
  ManifestService,
} from '../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import { invalidField, notFound } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../rpc/edge/page-token.ts';
import { readResourceName, slugId } from '../rpc/edge/resource-name.ts';
import { toTimestamp } from '../rpc/edge/wkt-time.ts';
import { type ServiceImplementation, type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import { readEncodeSetName, readEncodeSetOrTitle, readTitleName } from './encode-set-name.ts';
import { createFilePredicate, type FileFilter } from './file-filter.ts';
import type { EncodeSetId } from './holdings.ts';
import type { ManifestDomain } from './manifest-domain.ts';
import {
  readAppliance,
  readFileKinds,
  readTitleFields,
  toApplianceMessage,
  toEncodeSetMessage,
  toFileMessage,
  toPlaybackAnswer,
  toTitleMessage,
} from './manifest-message.ts';
import { readPlaybackRequest } from './playback-request.ts';
import { readTitleChange } from './title-update.ts';

type Methods = ServiceImplementation<typeof ManifestService>;

const pageSizes = { fallback: 50, most: 500 };
const filePageSizes = { fallback: 100, most: 1_000 };
const maxHoldingsPerReport = 250;

/** The RPC edge of the manifest area. */
export function createManifestService(domain: ManifestDomain): ServiceRegistration {
  return serviceOf(ManifestService, {
    ...titleMethods(domain),
    ...encodeSetMethods(domain),
    ...fileMethods(domain),
    ...applianceMethods(domain),
    getPlayback: async (request, { call }) =>
      toPlaybackAnswer(await domain.getPlayback(readPlaybackRequest(request, call.peer))),
  });
}

/** Cuts one item too many off a page and makes the token from the last that stays. */
function toPage<T>(scope: string, found: readonly T[], limit: number, placeOf: (item: T) => string) {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const nextPageToken = found.length > limit && last !== undefined ? encodePageToken(scope, placeOf(last)) : '';
  return { items, nextPageToken };
}

function titleMethods({ titles }: ManifestDomain) {
  return {
    createTitle: async ({ title }) => {
      if (title === undefined) throw invalidField('title', 'must be set');
      const id = readTitleName('title.name', title.name);
      return { title: toTitleMessage(await titles.create(id, readTitleFields(title))) };
    },
    getTitle: async ({ name }) => ({ title: toTitleMessage(await titles.get(readTitleName('name', name))) }),
    listTitles: async (request) => {
      const limit = readPageSize(request.pageSize, pageSizes);
      const found = await titles.list(limit + 1, readPageToken('titles', request.pageToken));
      const { items, nextPageToken } = toPage('titles', found, limit, ({ id }) => id);
      return { titles: items.map(toTitleMessage), nextPageToken };
    },
    updateTitle: async ({ title, updateMask }) => {
      if (title === undefined) throw invalidField('title', 'must be set');
      const id = readTitleName('title.name', title.name);
      const change = readTitleChange(title, updateMask?.paths ?? []);
      return { title: toTitleMessage(await titles.update(id, change, title.etag)) };
    },
  } satisfies Partial<Methods>;
}

function encodeSetMethods(domain: ManifestDomain) {
  return {
    registerEncodeSet: async (request) => {
      const titleId = readTitleName('title', request.title);
      const { encodeSet, existed } = await domain.registerEncodeSet(titleId, request.objectKey, request.job);
      return { encodeSet: toEncodeSetMessage(encodeSet), existed };
    },
    listEncodeSets: async (request) => {
      const titleId = readTitleName('title', request.title);
      const limit = readPageSize(request.pageSize, pageSizes);
      const scope = `encodeSets:${titleId}`;
      const found = await domain.encodeSets.list(titleId, limit + 1, readPageToken(scope, request.pageToken));
      const { items, nextPageToken } = toPage(scope, found, limit, ({ place }) => place);
      return { encodeSets: items.map(({ encodeSet }) => toEncodeSetMessage(encodeSet)), nextPageToken };
    },
  } satisfies Partial<Methods>;
}

function fileMethods(domain: ManifestDomain) {
  async function readParent({ parent }: FilterMessage): Promise<EncodeSetId> {
    const { titleId, version } = readEncodeSetOrTitle('filter.parent', parent);
    if (version !== '') return domain.encodeSets.get(titleId, version);
    const { currentVersion } = await domain.titles.get(titleId);
    if (currentVersion === '') throw notFound('encodeset', `titles/${titleId}/encodeSets/current`);
    return { titleId, version: currentVersion };
  }

  return {
    listFiles: async (request) => {
      const limit = readPageSize(request.pageSize, filePageSizes);
      const { filter, passes } = readFilter(request.filter);
      const scope = jsonDigest(['files', request.filter?.parent, filter]);
      const after = readPageToken(scope, request.pageToken);
      // The token pins the set, so that all pages are of one even when another becomes current.
      const [version, fileId] = after?.split('/') ?? [];
      const set = await readParent(filterOf(request.filter));
      const pinned = version === undefined ? set : { ...set, version };
      const found = [];
      for await (const file of domain.encodeSets.files(pinned.titleId, pinned.version, fileId)) {
        if (passes(file)) found.push(file);
        if (found.length > limit) break;
      }
      const { items, nextPageToken } = toPage(scope, found, limit, ({ id }) => `${pinned.version}/${id}`);
      return { files: items.map((file) => toFileMessage(pinned, file)), nextPageToken };
    },
    streamFiles: async function* (request) {
      const { passes } = readFilter(request.filter);
      const set = await readParent(filterOf(request.filter));
      for await (const file of domain.encodeSets.files(set.titleId, set.version)) {
        if (passes(file)) yield { file: toFileMessage(set, file) };
      }
    },
  } satisfies Partial<Methods>;
}

function filterOf(message: FilterMessage | undefined): FilterMessage {
  if (message === undefined) throw invalidField('filter', 'must be set');
  return message;
}

function readFilter(given: FilterMessage | undefined) {
  const message = filterOf(given);
  const minBitrateBps = Number(message.minBitrateBps);
  const maxBitrateBps = Number(message.maxBitrateBps);
  if (minBitrateBps < 0) throw invalidField('filter.min_bitrate_bps', 'must not be negative');
  if (maxBitrateBps < 0) throw invalidField('filter.max_bitrate_bps', 'must not be negative');
  const { profiles, languages } = message;
  const filter: FileFilter = { kinds: readFileKinds(message.kinds), profiles, languages, minBitrateBps, maxBitrateBps };
  return { filter, passes: createFilePredicate(filter) };
}

function applianceMethods(domain: ManifestDomain) {
  const { appliances, clock } = domain;
  const toMessage = (watched: Awaited<ReturnType<typeof appliances.get>>) =>
    toApplianceMessage(watched, domain.stateOf(watched));
  const readName = (field: string, name: string) => readResourceName(field, name, ['appliances'], slugId)[0];

  return {
    putAppliance: async ({ appliance }) => {
      if (appliance === undefined) throw invalidField('appliance', 'must be set');
      const id = readName('appliance.name', appliance.name);
      return { appliance: toMessage(await appliances.put(readAppliance(id, appliance))) };
    },
    listAppliances: async (request) => {
      const limit = readPageSize(request.pageSize, pageSizes);
      const found = await appliances.list(limit + 1, readPageToken('appliances', request.pageToken));
      const { items, nextPageToken } = toPage('appliances', found, limit, ({ appliance }) => appliance.id);
      return { appliances: items.map(toMessage), nextPageToken };
    },
    reportHeartbeat: async ({ appliance, bootId, sequence, load }) => {
      const id = readName('appliance', appliance);
      if (bootId === '' || bootId.length > 128) throw invalidField('boot_id', 'must have 1-128 characters');
      const { network = 0, disk = 0, connections = 0 } = load ?? {};
      const arrived = { bootId, sequence, load: { network, disk, connections } };
      const watched = await appliances.heartbeat(id, arrived);
      return { appliance: toMessage(watched), serverTime: toTimestamp(clock.now()) };
    },
    reportHoldings: async (request) => {
      const id = readName('appliance', request.appliance);
      const held = request.heldEncodeSets.map((name, index) => readEncodeSetName(`held_encode_sets[${index}]`, name));
      const dropped = request.droppedEncodeSets.map((name, index) =>
        readEncodeSetName(`dropped_encode_sets[${index}]`, name),
      );
      if (held.length + dropped.length > maxHoldingsPerReport) {
        throw invalidField('held_encode_sets', `at most ${maxHoldingsPerReport} sets per report`);
      }
      return { holdingCount: await domain.reportHoldings(id, held, dropped) };
    },
  } satisfies Partial<Methods>;
}
