import {
  AppError,
  type Call,
  type Clock,
  Code,
  type Counters,
  createCounters,
  deadlineOf,
  type Origins,
  type Random,
} from '../engine/filter.ts';
import { type Attempt, addAttempt } from './attempts.ts';
import { pickHost } from './balancer.ts';
import { codeOf, isFault } from './call-codes.ts';
import type { Discovery, Endpoint } from './endpoint.ts';
import { addLatency, addLeastLatency, createHost, type Host } from './host.ts';
import type { OriginCall, OriginRequest } from './origin-call.ts';
import { noOriginKnown, originOverloaded } from './origin-errors.ts';
import { createOutlierDetector, type OutlierConfig } from './outlier.ts';
import { type ReplyEnd, WatchedReply } from './watched-reply.ts';

interface ClusterConfig {
  readonly name: string;
  /** Zone of this process; empty = all hosts are equally near. */
  readonly zone: string;
  /** Calls in progress at an own-zone host beyond which a less loaded host elsewhere is taken. */
  readonly spillAt: number;
  /** Most calls in progress; beyond it a call fails with ORIGIN_OVERLOADED. */
  readonly maxRequests: number;
  /** Longest call in ms, streams included; undefined = the caller's deadline alone. */
  readonly timeoutMs: number | undefined;
  readonly outlier: OutlierConfig;
  /** Sent with each request. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Keys of the caller's metadata that stay here. */
  readonly dropMetadata: readonly string[];
}

interface ClusterDeps {
  readonly origins: Origins;
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly random: Random;
}

/** A set of like instances that calls are spread over. */
export interface Cluster {
  readonly call: OriginCall;
  /** Resolves when the first list of instances is there. */
  start(): Promise<void>;
  hosts(): readonly Host[];
  isEjected(host: Host): boolean;
  close(): void;
}

/** Most connections opened ahead per new list, near ones first: thousands at once would hold up every call. */
const maxWarmed = 100;

type ClusterCounters = Counters<'calls' | 'overloaded' | 'none_known'>;

/** A cluster without instances; `start` finds them. Calls fail with ORIGIN_NONE_KNOWN while there are none. */
export function createCluster(config: ClusterConfig, { origins, discovery, clock, random }: ClusterDeps): Cluster {
  const { name, maxRequests } = config;
  const outlier = createOutlierDetector(config.outlier, clock);
  const counters: ClusterCounters = createCounters('origin_clusters', {
    calls: 'calls sent to a cluster',
    overloaded: 'calls refused because the cluster had too many in progress',
    none_known: 'calls refused because the cluster had no instances',
  });
  let hosts: readonly Host[] = [];
  let own: readonly Host[] = [];
  let others: readonly Host[] = [];
  let inFlight = 0;
  const isUsable = (host: Host) => !outlier.isEjected(host);

  /** One assignment of new lists: a call sees the old instances or the new ones, and those that stay keep their state. */
  function replaceHosts(endpoints: readonly Endpoint[]): void {
    const before = new Map(hosts.map((host) => [host.address, host]));
    const after = endpoints.map((endpoint) => {
      const known = before.get(endpoint.address);
      return known !== undefined && known.zone === endpoint.zone ? known : createHost(endpoint);
    });
    const kept = new Set(after.map(({ address }) => address));
    const near = config.zone === '' ? after : after.filter(({ zone }) => zone === config.zone);
    const far = config.zone === '' ? [] : after.filter(({ zone }) => zone !== config.zone);
    const added = [...near, ...far].filter(({ address }) => !before.has(address));
    for (const { address } of added.slice(0, maxWarmed)) origins.connect(address);
    hosts = after;
    own = near;
    others = far;
    for (const { address } of before.values()) if (!kept.has(address)) origins.release(address);
  }

  function pick(request: OriginRequest): Host {
    if (inFlight >= maxRequests) {
      counters.add('overloaded', { cluster: name });
      throw originOverloaded(name, maxRequests);
    }
    const { spillAt } = config;
    const { avoid } = request;
    const host = pickHost({ own, others, isUsable, avoid, spillAt, random, now: clock.monotonic() });
    if (host !== undefined) return host;
    counters.add('none_known', { cluster: name });
    throw noOriginKnown(name);
  }

  function call(request: OriginRequest) {
    const host = pick(request);
    const { address, zone } = host;
    const { isHedge, exchange } = request;
    const startedAt = clock.monotonic();
    const attempt: Attempt = { cluster: name, address, zone, isHedge, code: undefined, reason: '', durationMs: 0 };
    let isAlive = mayBeSilent(exchange.call);
    const timeoutAt = config.timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + config.timeoutMs;
    const reply = origins.call(address, request.path, request.requests, {
      metadata: exchange.call.requestMetadata,
      dropMetadata: config.dropMetadata,
      addMetadata: requestMetadata(exchange.call, config, request.previousAttempts),
      deadline: Math.min(request.deadline, timeoutAt),
      signal: request.signal,
      onHeaders: (headers) => {
        isAlive = true;
        request.onHeaders(headers);
      },
      onTrailers: request.onTrailers,
    });
    addAttempt(request.attempts, attempt);
    request.avoid.add(address);
    host.inFlight++;
    inFlight++;
    counters.add('calls', { cluster: name });
    return new WatchedReply(reply, {
      first: () => {
        isAlive = true;
        addLatency(host, clock.monotonic() - startedAt, clock.monotonic());
      },
      ended: (outcome) => {
        host.inFlight--;
        inFlight--;
        attempt.durationMs = clock.monotonic() - startedAt;
        const code = codeOfEnd(outcome, request.signal);
        if (outcome !== 'left') attempt.code = code;
        if (typeof outcome === 'object' && outcome.error instanceof AppError) attempt.reason = outcome.error.reason;
        const verdict = verdictOn(code, attempt.durationMs, isAlive, request);
        if (verdict !== undefined) outlier.record(host, verdict, hosts);
        if (!isAlive && wasSlow(code, request)) addLeastLatency(host, attempt.durationMs, clock.monotonic());
      },
    });
  }

  /** What the end of a call says of its host: well, unwell, or nothing (undefined), as what the caller itself ended. */
  function verdictOn(code: Code, tookMs: number, isAlive: boolean, request: OriginRequest): boolean | undefined {
    const isCallersEnd = request.signal.aborted || deadlineOf(request.exchange.call) <= clock.now();
    const isLate = code === Code.DEADLINE_EXCEEDED;
    const hadTime = tookMs >= config.outlier.minTimeoutMs;
    // A host that hangs is known by its silence alone, when the caller was not in too much of a hurry.
    if (isCallersEnd) return isLate && hadTime && !isAlive ? false : undefined;
    // A hedge has what the first try has left, which may be next to nothing.
    if (isLate && request.isHedge && !hadTime) return undefined;
    return code === Code.CANCELLED ? undefined : !isFault(code);
  }

  return {
    call,
    start: () => discovery.start(replaceHosts),
    hosts: () => hosts,
    isEjected: outlier.isEjected,
    close: () => {
      discovery.close();
      for (const { address } of hosts) origins.release(address);
    },
  };
}

/** The status that a call ended with; of one that was left, why. */
function codeOfEnd(outcome: ReplyEnd, { aborted, reason }: AbortSignal): Code {
  if (outcome === 'done') return Code.OK;
  if (outcome !== 'left') return codeOf(outcome.error);
  return aborted && reason instanceof AppError ? reason.code : Code.CANCELLED;
}

/** True for streams, which may have nothing to say for long; what is not known here is taken for none. */
function mayBeSilent({ known, kind }: Call): boolean {
  return known && (kind === 'server_stream' || kind === 'bidi_stream');
}

/** True when time ran out, or another try of the call won: the host would have taken longer still. */
function wasSlow(code: Code, { signal, exchange }: OriginRequest): boolean {
  return code === Code.DEADLINE_EXCEEDED || (signal.aborted && !exchange.call.signal.aborted);
}

function requestMetadata(call: Call, { metadata }: ClusterConfig, previousAttempts: number): Record<string, string> {
  const before = call.requestMetadata.get('x-forwarded-for');
  const peer = call.peer.replace(/:\d+$/, '');
  const added: Record<string, string> = {
    'x-request-id': call.id,
    'x-forwarded-for': before === undefined ? peer : `${before}, ${peer}`,
    ...metadata,
  };
  if (previousAttempts > 0) added['grpc-previous-rpc-attempts'] = String(previousAttempts);
  return added;
}
