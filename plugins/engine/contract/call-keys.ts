import type { Call } from '../../../server/core/call.ts';
import { contextKey } from './context-key.ts';

// Places in a call that filters of different folders agree on: filters do not import each other.

/** How much a call matters, most first. Source: Netflix's service-level prioritised load shedding, 2024. */
export const callPriorities = ['CRITICAL', 'DEGRADED', 'BEST_EFFORT', 'BULK'] as const;
/** One of `callPriorities`. */
export type CallPriority = (typeof callPriorities)[number];

/** The priority that was granted to the call (not the one it asks for). */
export const callPriority = contextKey<CallPriority>('call_priority');

/**
 * When the call must have ended, Unix ms: what the caller asked for, cut to what the server allows. Filters that make
 * calls of their own hand it on; absent = `call.deadline`.
 */
export const effectiveDeadline = contextKey<number>('effective_deadline');

/** When the call must have ended, Unix ms; Infinity when nobody set a limit. */
export function deadlineOf(call: Call): number {
  return Math.min(call.deadline, effectiveDeadline.get(call) ?? Number.POSITIVE_INFINITY);
}

/**
 * Id of the filter that refused the call for the sake of load. Such an end says nothing about the handler: whoever
 * judges health by outcomes leaves it out, else refusals breed refusals.
 */
export const localRefusal = contextKey<string>('local_refusal');

/** What limits and breakers are kept by. */
export const callKeyKinds = ['all', 'service', 'method', 'principal'] as const;
/** One of `callKeyKinds`. */
export type CallKeyKind = (typeof callKeyKinds)[number];

const maxPrincipalKeys = 4096;
const principalKeys = new Map<string, string>();

/** One text per principal, so that tables of keys find it by identity and nobody joins texts for each call. */
function principalKey(id: string): string {
  const known = principalKeys.get(id);
  if (known !== undefined) return known;
  if (principalKeys.size >= maxPrincipalKeys) principalKeys.clear();
  const key = `principal:${id}`;
  principalKeys.set(id, key);
  return key;
}

/** The call's key of that kind; callers without a principal are told apart by host, not by connection. */
export function callKey(call: Call, kind: CallKeyKind): string {
  if (kind === 'all') return 'all';
  if (kind === 'service') return call.service;
  if (kind === 'method') return call.path;
  const { principal, peer } = call;
  if (principal !== undefined && principal.method !== 'none') return principalKey(principal.id);
  return `peer:${peer.replace(/:\d+$/, '')}`;
}
