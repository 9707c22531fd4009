import { sourceRefused } from '../errors.ts';
import type { Demuxer } from './sniff-container.ts';

/** Sizes of a transport packet, without and with the arrival time that recorders put before it. */
const packetBytes = [188, 192];

/**
 * Refuses a transport stream that ends within a packet: it was cut, and nothing else in the format would tell.
 * One that was cut between packets cannot be told from a shorter one. INVALID_ARGUMENT SOURCE_TRUNCATED.
 */
export function refuseCutTransport(demuxer: Demuxer, bytes: number): void {
  if (demuxer !== 'mpegts' || packetBytes.some((size) => bytes % size === 0)) return;
  throw sourceRefused('SOURCE_TRUNCATED', 'the transport stream ends in the middle of a packet');
}
