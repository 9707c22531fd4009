import type { ApplianceState } from './appliance-health.ts';
import { distanceKm, type Location } from './distance.ts';
import { type IpAddress, type IpNetwork, longestMatch } from './ip-network.ts';
import { rendezvousScore } from './rendezvous.ts';

/** Proximity classes, nearest first. */
const proximities = ['same_prefix', 'same_site', 'same_asn', 'same_region', 'anywhere', 'origin'] as const;
/** How near an appliance is to a client. */
export type Proximity = (typeof proximities)[number];

/** Why an appliance is not offered. */
export type Exclusion = 'DRAINING' | 'DOWN' | 'OVERLOADED' | 'NOT_HELD';

/** What ranking knows of an appliance. */
export interface Candidate {
  readonly id: string;
  readonly site: string;
  readonly region: string;
  /** 0 = unknown. */
  readonly asn: number;
  readonly networks: readonly IpNetwork[];
  readonly location: Location | undefined;
  readonly origin: boolean;
  readonly state: ApplianceState;
  readonly isOverloaded: boolean;
  /** Has every file of the encode set. */
  readonly holds: boolean;
  /** Greatest of its loads, 0 to 1. */
  readonly load: number;
  /** Share of sessions among equals, more than 0. */
  readonly weight: number;
}

/** What ranking knows of a client. */
export interface Client {
  readonly session: string;
  readonly address: IpAddress | undefined;
  /** ISO 3166 alpha-2; empty = unknown. */
  readonly region: string;
  /** 0 = unknown. */
  readonly asn: number;
  readonly location: Location | undefined;
}

/** A place with what decided about it. */
export interface RankedSource {
  readonly id: string;
  readonly isSuspect: boolean;
  readonly proximity: Proximity;
  /** Longest prefix that matches, -1 = none. */
  readonly prefixBits: number;
  /** -1 = unknown. */
  readonly distanceKm: number;
  readonly load: number;
  /** 0 to 1. */
  readonly hash: number;
}

/** What ranking made of the fleet. */
export interface Ranking {
  /** Best first. */
  readonly ranked: readonly RankedSource[];
  /** By bare id. */
  readonly excluded: ReadonlyMap<string, Exclusion>;
}

/** Within this distance appliances count as equally near: about 1 ms of round trip. */
const distanceStepKm = 100;

/**
 * Ranks the appliances that can serve a client, best first. Pure and deterministic. Lexicographic, the first
 * difference decides: not suspect; proximity class; longest prefix; distance in steps of 100 km; load cost 1/(1-load)
 * in powers of two; weighted rendezvous hash of session and appliance. Classes are never mixed into one number, so
 * traffic stays local and load only moves it between equals, up to the overload cut.
 */
export function rankSources(candidates: readonly Candidate[], client: Client): Ranking {
  const excluded = new Map<string, Exclusion>();
  const usable: Candidate[] = [];
  for (const candidate of candidates) {
    const exclusion = exclusionOf(candidate);
    if (exclusion === undefined) usable.push(candidate);
    else excluded.set(candidate.id, exclusion);
  }
  const surroundings = surroundingsOf(candidates, client);
  const ranked = usable.map((candidate) => toSource(candidate, client, surroundings)).sort(compareSources);
  return { ranked, excluded };
}

function exclusionOf(candidate: Candidate): Exclusion | undefined {
  if (candidate.state === 'draining') return 'DRAINING';
  if (candidate.state === 'down') return 'DOWN';
  if (!candidate.holds) return 'NOT_HELD';
  return candidate.isOverloaded ? 'OVERLOADED' : undefined;
}

/** Where the client is in terms of appliances: the sites and regions of those meant for its network. */
interface Surroundings {
  readonly prefixBits: ReadonlyMap<string, number>;
  readonly sites: ReadonlySet<string>;
  readonly regions: ReadonlySet<string>;
}

/** Also appliances that are left out tell where the client is. */
function surroundingsOf(candidates: readonly Candidate[], { address, region }: Client): Surroundings {
  const prefixBits = new Map<string, number>();
  let longest = -1;
  for (const { id, networks, origin } of candidates) {
    const bits = address === undefined || origin ? -1 : longestMatch(networks, address);
    prefixBits.set(id, bits);
    longest = Math.max(longest, bits);
  }
  const nearest = candidates.filter(({ id }) => longest >= 0 && prefixBits.get(id) === longest);
  const named = (names: readonly string[]) => new Set(names.filter((name) => name !== ''));
  return {
    prefixBits,
    sites: named(nearest.map(({ site }) => site)),
    regions: named([region.toLowerCase(), ...nearest.map((candidate) => candidate.region.toLowerCase())]),
  };
}

function toSource(candidate: Candidate, client: Client, surroundings: Surroundings): RankedSource {
  const { id, state, location, load, weight } = candidate;
  const isPlaced = location !== undefined && client.location !== undefined;
  return {
    id,
    isSuspect: state === 'suspect',
    proximity: proximityOf(candidate, client, surroundings),
    prefixBits: surroundings.prefixBits.get(id) ?? -1,
    distanceKm: isPlaced ? distanceKm(location, client.location) : -1,
    load,
    hash: rendezvousScore(client.session, id, weight),
  };
}

function proximityOf(candidate: Candidate, client: Client, { prefixBits, sites, regions }: Surroundings): Proximity {
  if (candidate.origin) return 'origin';
  if ((prefixBits.get(candidate.id) ?? -1) >= 0) return 'same_prefix';
  if (sites.has(candidate.site)) return 'same_site';
  if (candidate.asn !== 0 && candidate.asn === client.asn) return 'same_asn';
  const region = candidate.region.toLowerCase();
  // Regions of appliances may be finer than countries: `de-fra` is in `DE`.
  const isNear = regions.has(region) || (client.region !== '' && region.startsWith(`${client.region.toLowerCase()}-`));
  return isNear ? 'same_region' : 'anywhere';
}

function compareSources(a: RankedSource, b: RankedSource): number {
  return (
    Number(a.isSuspect) - Number(b.isSuspect) ||
    proximities.indexOf(a.proximity) - proximities.indexOf(b.proximity) ||
    b.prefixBits - a.prefixBits ||
    distanceStep(a) - distanceStep(b) ||
    loadStep(a) - loadStep(b) ||
    b.hash - a.hash ||
    (a.id < b.id ? -1 : 1)
  );
}

/** An unknown distance is farther than any known one. */
function distanceStep({ distanceKm: km }: RankedSource): number {
  return km < 0 ? Number.MAX_SAFE_INTEGER : Math.floor(km / distanceStepKm);
}

/** 0 below a load of 0.5, 1 below 0.75, 2 below 0.875: small differences must not move sessions. */
function loadStep({ load }: RankedSource): number {
  return Math.floor(Math.log2(1 / (1 - Math.min(load, 0.999))));
}

/** One line for a person. */
export function explain({ isSuspect, proximity, prefixBits, distanceKm: km, load, hash }: RankedSource): string {
  const parts = [proximity.replace('_', ' ')];
  if (prefixBits >= 0) parts.push(`/${prefixBits} matches the client`);
  if (km >= 0) parts.push(`${Math.round(km)} km away`);
  parts.push(`load ${load.toFixed(2)}`, `hash ${hash.toFixed(3)}`);
  if (isSuspect) parts.push('missed heartbeats: ranked last');
  return parts.join(', ');
}
