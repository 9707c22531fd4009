import type { Metadata, ServerUnaryCall } from '@grpc/grpc-js';
import type { Call, CallKind, CallMetadata, Idempotency, Principal } from '../../core/call.ts';
import { FewAttributes } from '../../core/call-attributes.ts';
import type { Clock } from '../../core/clock.ts';
import type { AppError } from '../../core/errors.ts';
import { newId } from '../../core/ids.ts';
import type { Logger } from '../../core/log.ts';
import { type TlsPeer, tlsPeer } from '../../core/tls-peer.ts';
import { transportCallOf } from '../grpc-internals.ts';
import { WireMetadata } from '../metadata.ts';

/** What all four kinds of grpc-js server calls share. */
export type Wire = Pick<
  ServerUnaryCall<Buffer, Buffer>,
  'metadata' | 'cancelled' | 'getDeadline' | 'getAuthContext' | 'sendMetadata'
> & {
  on(event: 'cancelled', listener: () => void): unknown;
  off(event: 'cancelled', listener: () => void): unknown;
};

/** The parts of a Call that are fixed per method. */
export type CallTarget = Readonly<
  Pick<Call, 'path' | 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType' | 'idempotency'>
>;

/** What every call of a server is given. */
export interface CallSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections are encrypted, so that a caller may have shown a certificate. */
  readonly isTls: boolean;
}

/**
 * The Call of one grpc-js call, and its handler's context: one object, because every byte that lives as long as a
 * call costs the garbage collector. What is seldom needed (id, metadata views, signal, attributes, peer
 * certificate, logger) is made when first asked for.
 */
export class ServerCall implements Call {
  readonly startedAt: number;
  principal: Principal | undefined = undefined;
  readonly #target: CallTarget;
  protected readonly wire: Wire;
  /** Its own hold of them: the transport lets go at the end of the call. */
  protected readonly metadata: Metadata;
  readonly #surroundings: CallSurroundings;
  #id: string | undefined;
  #requestMetadata: WireMetadata | undefined;
  #responseHeaders: WireMetadata | undefined;
  #responseTrailers: WireMetadata | undefined;
  #attributes: FewAttributes | undefined;
  #controller: AbortController | undefined;
  #abortReason: AppError | undefined;
  #log: Logger | undefined;

  constructor(target: CallTarget, wire: Wire, surroundings: CallSurroundings) {
    this.#target = target;
    this.wire = wire;
    this.metadata = wire.metadata;
    this.#surroundings = surroundings;
    this.startedAt = surroundings.clock.monotonic();
  }

  /** The call itself: this object is the handler's context, too. */
  get call(): this {
    return this;
  }
  get log(): Logger {
    this.#log ??= this.#surroundings.log.child({ call_id: this.id, method: this.path });
    return this.#log;
  }
  get id(): string {
    this.#id ??= newId(this.#surroundings.clock.now());
    return this.#id;
  }
  set id(id: string) {
    this.#id = id;
  }
  get path(): string {
    return this.#target.path;
  }
  get service(): string {
    return this.#target.service;
  }
  get method(): string {
    return this.#target.method;
  }
  get kind(): CallKind {
    return this.#target.kind;
  }
  get known(): boolean {
    return this.#target.known;
  }
  get requestType(): string | undefined {
    return this.#target.requestType;
  }
  get responseType(): string | undefined {
    return this.#target.responseType;
  }
  get idempotency(): Idempotency {
    return this.#target.idempotency;
  }
  get requestMetadata(): CallMetadata {
    this.#requestMetadata ??= new WireMetadata(this.metadata);
    return this.#requestMetadata;
  }
  get responseHeaders(): CallMetadata {
    this.#responseHeaders ??= new WireMetadata();
    return this.#responseHeaders;
  }
  get responseTrailers(): CallMetadata {
    this.#responseTrailers ??= new WireMetadata();
    return this.#responseTrailers;
  }
  get peer(): string {
    // Not `getPeer`, which asks the session's socket anew, through a proxy.
    const { remoteAddress, remotePort } = transportCallOf(this.wire).getConnectionInfo();
    return remotePort === undefined ? (remoteAddress ?? 'unknown') : `${remoteAddress}:${remotePort}`;
  }
  get deadline(): number {
    return Number(this.wire.getDeadline());
  }
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }
  get attributes(): FewAttributes {
    if (this.#attributes === undefined) {
      this.#attributes = new FewAttributes();
      const peer = this.#surroundings.isTls ? readTlsPeer(this.wire) : undefined;
      if (peer !== undefined) this.#attributes.set(tlsPeer, peer);
    }
    return this.#attributes;
  }

  /** Why the call was stopped from outside, undefined while it was not. */
  get abortReason(): AppError | undefined {
    return this.#abortReason;
  }

  /** Aborts the signal; only the first reason counts. */
  abort(reason: AppError): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** Sends the response headers if anybody set any; the transport ignores a second time. */
  sendHeaders(): void {
    if (this.#responseHeaders !== undefined) this.wire.sendMetadata(this.#responseHeaders.wire);
  }

  /** Trailers that somebody set. */
  get trailers(): Metadata | undefined {
    return this.#responseTrailers?.wire;
  }
}

function readTlsPeer(wire: Wire): TlsPeer | undefined {
  const certificate = wire.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  return {
    commonName: [certificate.subject.CN ?? ''].flat().join(','),
    alternativeNames: certificate.subjectaltname ?? '',
    fingerprint: certificate.fingerprint256,
  };
}
