import { Code } from '../../../server/core/codes.ts';
import { AppError } from '../../../server/core/errors.ts';
import type { Origins } from '../../../server/core/origins.ts';
import type { SharedRates } from '../../../server/core/shared-rates.ts';

/** What the host of the engine lends to filters. */
export interface Capabilities {
  /** Connections to other servers. Absent: every call of an origin fails with ORIGINS_MISSING. */
  readonly origins?: Origins | undefined;
  /** Rates that all servers of a fleet count together. Absent: a filter that is set to share its rate fails to load. */
  readonly sharedRates?: SharedRates | undefined;
}

function originsMissing(): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ORIGINS_MISSING',
    message: 'this filter engine was given no connections to other servers',
  });
}

/**
 * What a filter gets where no connections to other servers are lent: every call is refused with ORIGINS_MISSING
 * (FAILED_PRECONDITION).
 */
export const noOrigins: Origins = {
  call: () => {
    throw originsMissing();
  },
  connect: () => {
    throw originsMissing();
  },
  release: () => {},
  stats: () => ({ started: 0, failed: 0, inFlight: 0, origins: 0 }),
};
