import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { metrics } from '@opentelemetry/api';

/** What the calls of a server hold in memory because their callers are slow. */
export interface HeldBytes {
  /** Notes what a stream holds now, in bytes, until it closes; 0 = nothing any more. Below 64 KiB it is not counted. */
  note(stream: ServerHttp2Stream, bytes: number): void;
  /** Of all streams, in bytes. */
  readonly total: number;
}

/** Less is not worth its count: it is about what HTTP/2 itself grants each stream. */
const leastBytes = 65_536;

interface Holding {
  readonly bytes: number;
  readonly onClose: () => void;
}

/**
 * Bounds messages that wait for their callers: requests of which the rest does not come, answers that nobody takes.
 * HTTP/2 has thousands of calls on a connection, each with a message of the largest size, and authentication comes after
 * the whole request: without a bound, one caller fills the memory. Past `maxBytes` the connection that holds most loses
 * its oldest such call (ENHANCE_YOUR_CALM, which gRPC calls RESOURCE_EXHAUSTED), counted as `rpc.slow_calls_cut`; whoever
 * takes part at a fair pace is never the one that holds most.
 */
export function createHeldBytes(maxBytes: number): HeldBytes {
  const cut = metrics.getMeter('showrunner.rpc').createCounter('rpc.slow_calls_cut');
  const connections = new Map<Http2Session, Map<ServerHttp2Stream, Holding>>();
  let total = 0;

  function note(stream: ServerHttp2Stream, bytes: number): void {
    if (bytes < leastBytes && total === 0) return;
    const { session } = stream;
    const holdings = session === undefined ? undefined : connections.get(session);
    const held = holdings?.get(stream);
    if (bytes < leastBytes) {
      if (held !== undefined) held.onClose();
      return;
    }
    if (session === undefined || stream.destroyed) return;
    if (held === undefined) {
      const onClose = () => forget(session, stream);
      stream.once('close', onClose);
      put(session, stream, { bytes, onClose });
    } else put(session, stream, { ...held, bytes });
    while (total > maxBytes && cutOne(stream));
  }

  /** A stream keeps its place in the order of its connection. */
  function put(session: Http2Session, stream: ServerHttp2Stream, holding: Holding): void {
    const holdings = connections.get(session) ?? new Map<ServerHttp2Stream, Holding>();
    connections.set(session, holdings);
    total += holding.bytes - (holdings.get(stream)?.bytes ?? 0);
    holdings.set(stream, holding);
  }

  function forget(session: Http2Session, stream: ServerHttp2Stream): void {
    const holdings = connections.get(session);
    const held = holdings?.get(stream);
    if (holdings === undefined || held === undefined) return;
    stream.off('close', held.onClose);
    total -= held.bytes;
    holdings.delete(stream);
    if (holdings.size === 0) connections.delete(session);
  }

  /** False when there is none but the newest. */
  function cutOne(newest: ServerHttp2Stream): boolean {
    let most = 0;
    let greatest: Map<ServerHttp2Stream, Holding> | undefined;
    for (const holdings of connections.values()) {
      let bytes = 0;
      for (const holding of holdings.values()) bytes += holding.bytes;
      if (bytes <= most) continue;
      most = bytes;
      greatest = holdings;
    }
    const [oldest] = greatest ?? [];
    if (oldest === undefined || oldest[0] === newest) return false;
    oldest[1].onClose();
    oldest[0].close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    cut.add(1);
    return true;
  }

  return {
    note,
    get total() {
      return total;
    },
  };
}
