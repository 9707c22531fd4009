import type { CallMetadata } from '../engine/filter.ts';

/** Keys that belong to the connection with the origin, or that the transport writes itself. */
const connectionKeys: ReadonlySet<string> = new Set([
  ...['content-type', 'content-length', 'date', 'te', 'trailer', 'connection', 'accept-encoding', 'user-agent'],
  ...['grpc-encoding', 'grpc-accept-encoding', 'grpc-status', 'grpc-message'],
]);

/** Copies what an origin sent, every value; a key that is there already is replaced. */
export function copyMetadata(from: CallMetadata, to: CallMetadata): void {
  for (const key of from.keys()) {
    if (connectionKeys.has(key)) continue;
    to.delete(key);
    for (const value of from.getAll(key)) to.append(key, value);
  }
}
