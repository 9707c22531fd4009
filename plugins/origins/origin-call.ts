import type { AnswerExchange, Call, CallMetadata } from '../engine/filter.ts';
import type { AttemptLog } from './attempts.ts';

/** One call on its way out, as the layers around it pass it on (each may change a copy). */
export interface OriginRequest {
  readonly exchange: AnswerExchange;
  /** Name of a cluster of the routing filter; undefined = the endpoint in this process. */
  readonly cluster: string | undefined;
  readonly path: string;
  readonly requests: AsyncIterable<Uint8Array>;
  /** Unix ms, Infinity for none. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** Get what the origin sends beside its messages; the endpoint in this process writes to the call itself. */
  readonly onHeaders: (headers: CallMetadata) => void;
  readonly onTrailers: (trailers: CallMetadata) => void;
  readonly attempts: AttemptLog;
  /** Addresses that were tried; whoever tries one adds it. */
  readonly avoid: Set<string>;
  /** Tries before this one, of retries. */
  readonly previousAttempts: number;
  readonly isHedge: boolean;
}

/** The responses of a call; failures are AppErrors, OriginErrors when a remote origin was asked. */
export type OriginReply = AsyncIterator<Uint8Array, undefined>;

/** May throw at once, too. */
export type OriginCall = (request: OriginRequest) => OriginReply;

/** Layers from the outermost to the innermost. */
const layerPlaces = ['fallback', 'mirror', 'failover', 'retry', 'hedging'] as const;
/** Where a layer lies around the call of an endpoint. */
export type LayerPlace = (typeof layerPlaces)[number];

/** What a filter puts around the call of the endpoint, wherever that is. */
export interface OriginLayer {
  readonly place: LayerPlace;
  /** `next` goes inwards; `direct` asks the origin itself, past every layer. */
  wrap(next: OriginCall, direct: OriginCall): OriginCall;
}

// Not an attribute of the call: those are made for a call when first asked for, and routing asks for every call.
const layersByCall = new WeakMap<Call, OriginLayer[]>();

/** Called by inbound filters, which all run before the routing endpoint puts the layers around its call. */
export function addLayer(call: Call, layer: OriginLayer): void {
  const layers = layersByCall.get(call);
  if (layers === undefined) layersByCall.set(call, [layer]);
  else layers.push(layer);
}

/** True when a layer of this call is for the endpoint in this process, too: the others are for remote origins alone. */
export function hasLocalLayer(call: Call): boolean {
  return layersByCall.get(call)?.some(({ place }) => place === 'fallback' || place === 'mirror') ?? false;
}

/** The call of the endpoint with all layers of the call around it. */
export function withLayers(call: Call, direct: OriginCall): OriginCall {
  const layers = layersByCall.get(call) ?? [];
  // From the innermost outwards.
  const inwards = layers.toSorted((a, b) => layerPlaces.indexOf(b.place) - layerPlaces.indexOf(a.place));
  return inwards.reduce((next, layer) => layer.wrap(next, direct), direct);
}

/** Gives up a reply: its call is cancelled unless it has ended. */
export async function leaveReply(reply: OriginReply): Promise<void> {
  try {
    await reply.return?.();
  } catch {
    // It fails because it was left, and nobody reads it any more.
  }
}
