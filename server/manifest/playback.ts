import type { Clock } from '../core/clock.ts';
import { type Appliance, greatestLoad } from './appliance.ts';
import { type ApplianceState, probationShare, stateOf } from './appliance-health.ts';
import type { ApplianceStore, WatchedAppliance } from './appliance-store.ts';
import type { EncodeSetFile } from './encode-set-record.ts';
import type { EncodeSet, EncodeSetStore } from './encode-set-store.ts';
import { noSource, regionBlocked, titleNotLaunched, titleNotReady } from './errors.ts';
import type { FileLists } from './file-lists.ts';
import type { Holdings } from './holdings.ts';
import { type IpNetwork, parseIpNetwork } from './ip-network.ts';
import { type Candidate, type Client, type Exclusion, type RankedSource, rankSources } from './rank-sources.ts';
import type { Title } from './title.ts';
import type { TitleStore } from './title-store.ts';

/** Who wants to play what. */
export interface PlaybackRequest {
  readonly titleId: string;
  /** Empty = the current one. */
  readonly version: string;
  readonly client: Client;
  /** Sources that are wanted at most. */
  readonly sourceCount: number;
}

/** Where to play from, best first, and what. */
export interface Playback {
  readonly encodeSet: EncodeSet;
  readonly sources: readonly (RankedSource & { readonly baseUrl: string })[];
  /** Video, audio and text. */
  readonly files: readonly EncodeSetFile[];
  /** Appliances that are not offered, and why, by bare id. */
  readonly excluded: ReadonlyMap<string, Exclusion>;
}

/** What an answer is made from. */
export interface PlaybackDeps {
  readonly titles: TitleStore;
  readonly encodeSets: EncodeSetStore;
  readonly files: FileLists;
  readonly appliances: ApplianceStore;
  readonly holdings: Holdings;
  readonly clock: Clock;
  /** Unix ms when this service began to listen to heartbeats. */
  readonly watchingSinceMs: number;
}

/** Weight of an appliance whose throughput is unknown, in bits per second. */
const defaultThroughputBps = 1e9;

/**
 * Where to play a title from. TITLE_NOT_FOUND, ENCODESET_NOT_FOUND, TITLE_NOT_READY, TITLE_NOT_LAUNCHED,
 * REGION_BLOCKED, NO_SOURCE.
 */
export async function findPlayback(deps: PlaybackDeps, request: PlaybackRequest): Promise<Playback> {
  const { titleId, client } = request;
  const title = await deps.titles.get(titleId);
  checkGates(title, client, deps.clock.now());
  const version = request.version || title.currentVersion;
  if (version === '') throw titleNotReady(`titles/${titleId}`);
  const encodeSet = await deps.encodeSets.get(titleId, version);
  const [fleet, holders, files] = await Promise.all([
    deps.appliances.fleet(),
    deps.holdings.holders(encodeSet),
    deps.files.playable(encodeSet),
  ]);
  const candidates = fleet.map((watched) => toCandidate(deps, watched, holders));
  const { ranked, excluded } = rankSources(candidates, client);
  if (ranked.length === 0) throw noSource(`titles/${titleId}`, excluded);
  const urls = new Map(fleet.map(({ appliance }) => [appliance.id, appliance.baseUrl]));
  const sources = ranked
    .slice(0, request.sourceCount)
    .map((source) => ({ ...source, baseUrl: urls.get(source.id) ?? '' }));
  return { encodeSet, sources, files, excluded };
}

function checkGates({ id, regions, launchMs }: Title, { region }: Client, nowMs: number): void {
  if (regions.length > 0 && !regions.includes(region)) throw regionBlocked(`titles/${id}`, region);
  if (launchMs !== undefined && nowMs < launchMs) throw titleNotLaunched(`titles/${id}`, launchMs, nowMs);
}

/** The state of an appliance now. */
export function currentState(
  deps: Pick<PlaybackDeps, 'clock' | 'watchingSinceMs'>,
  watched: WatchedAppliance,
): ApplianceState {
  return stateOf(watched.appliance, watched.heartbeat, deps.clock.now(), deps.watchingSinceMs);
}

function toCandidate(deps: PlaybackDeps, watched: WatchedAppliance, holders: ReadonlySet<string>): Candidate {
  const { appliance, heartbeat } = watched;
  const { id, site, region, asn, origin, latitude, longitude } = appliance;
  const throughputBps = appliance.throughputBps || defaultThroughputBps;
  return {
    id,
    site,
    region,
    asn,
    origin,
    networks: networksOf(appliance),
    location: latitude === 0 && longitude === 0 ? undefined : { latitude, longitude },
    state: currentState(deps, watched),
    isOverloaded: heartbeat?.isOverloaded ?? false,
    holds: origin || holders.has(id),
    load: heartbeat === undefined ? 0 : greatestLoad(heartbeat.load),
    weight: (throughputBps / defaultThroughputBps) * probationShare(heartbeat, deps.clock.now()),
  };
}

/** Parsed once per read of the fleet. */
const parsedNetworks = new WeakMap<Appliance, IpNetwork[]>();

function networksOf(appliance: Appliance): IpNetwork[] {
  const known = parsedNetworks.get(appliance);
  if (known !== undefined) return known;
  const networks = appliance.prefixes.flatMap((prefix) => parseIpNetwork(prefix) ?? []);
  parsedNetworks.set(appliance, networks);
  return networks;
}
