import type { CallMetadata } from '../engine/filter.ts';
import type { OriginRequest } from './origin-call.ts';

/** Headers and trailers of a try that may yet be replaced by another. */
export interface HeldHead {
  readonly onHeaders: (headers: CallMetadata) => void;
  readonly onTrailers: (trailers: CallMetadata) => void;
  /** The try counts: what came is passed on, and so is what comes. */
  commit(): void;
  readonly isCommitted: boolean;
}

/**
 * Holds what a try sends beside messages until it is known to be the one that counts. `mustPass` tells when headers
 * may not wait: a caller that still sends may be waiting for them.
 */
export function holdHead({ onHeaders, onTrailers }: OriginRequest, mustPass: () => boolean): HeldHead {
  let headers: CallMetadata | undefined;
  let trailers: CallMetadata | undefined;
  let isCommitted = false;
  const commit = () => {
    isCommitted = true;
    if (headers !== undefined) onHeaders(headers);
    if (trailers !== undefined) onTrailers(trailers);
    headers = undefined;
    trailers = undefined;
  };
  return {
    onHeaders: (given) => {
      headers = given;
      if (isCommitted || mustPass()) commit();
    },
    onTrailers: (given) => {
      trailers = given;
      if (isCommitted) commit();
    },
    commit,
    get isCommitted() {
      return isCommitted;
    },
  };
}
