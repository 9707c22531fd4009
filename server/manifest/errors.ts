import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** ALREADY_EXISTS: a title with other content has this name. */
export const titleExists = (name: string) =>
  new AppError({
    code: Code.ALREADY_EXISTS,
    reason: 'TITLE_EXISTS',
    message: `title "${name}" exists with other content; use UpdateTitle`,
    metadata: { name },
  });

/** ABORTED: the title changed since it was read. */
export const etagMismatch = (name: string) =>
  new AppError({
    code: Code.ABORTED,
    reason: 'ETAG_MISMATCH',
    message: `title "${name}" has changed since it was read; read it again`,
    metadata: { name },
  });

/** FAILED_PRECONDITION: what the commit record lists is not all there. */
export const encodeSetIncomplete = (objectKey: string, why: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ENCODESET_INCOMPLETE',
    message: `the encode set of "${objectKey}" is not complete: ${why}`,
    metadata: { object_key: objectKey },
  });

/** FAILED_PRECONDITION: the commit record is not one. */
export const encodeSetMalformed = (objectKey: string, why: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ENCODESET_MALFORMED',
    message: `"${objectKey}" is no commit record of an encode set: ${why}`,
    metadata: { object_key: objectKey },
  });

/** FAILED_PRECONDITION: an older heartbeat than the one known. */
export const heartbeatStale = (appliance: string, why: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'HEARTBEAT_STALE',
    message: `the heartbeat of "${appliance}" is out of date: ${why}`,
    metadata: { appliance },
  });

/** RESOURCE_EXHAUSTED: as many appliances as allowed are registered. */
export const tooManyAppliances = (most: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_APPLIANCES',
    message: `${most} appliances are registered already`,
    metadata: { bound: String(most) },
  });

/** FAILED_PRECONDITION: nothing was encoded yet. */
export const titleNotReady = (name: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'TITLE_NOT_READY',
    message: `title "${name}" has no encode set yet`,
    metadata: { name },
  });

/** FAILED_PRECONDITION: before the launch. */
export const titleNotLaunched = (name: string, launchMs: number, nowMs: number) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'TITLE_NOT_LAUNCHED',
    message: `title "${name}" launches at ${new Date(launchMs).toISOString()}`,
    metadata: { name, launch_time: new Date(launchMs).toISOString() },
    retryAfterMs: launchMs - nowMs,
  });

/** FAILED_PRECONDITION: not to be shown where the client is. */
export const regionBlocked = (name: string, region: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REGION_BLOCKED',
    message:
      region === ''
        ? `title "${name}" may only be shown in some regions, and the client's is unknown`
        : `title "${name}" may not be shown in ${region}`,
    metadata: { name, region },
  });

/** UNAVAILABLE: no appliance can serve it now. */
export const noSource = (name: string, excluded: ReadonlyMap<string, string>) =>
  new AppError({
    code: Code.UNAVAILABLE,
    reason: 'NO_SOURCE',
    message: `no appliance can serve "${name}" now: ${excluded.size === 0 ? 'none is registered' : `${excluded.size} left out`}`,
    metadata: { name, ...Object.fromEntries([...excluded].slice(0, 20)) },
    retryAfterMs: 5_000,
  });
