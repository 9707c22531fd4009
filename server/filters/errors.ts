import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** NOT_FOUND: the call is not, or no longer, in the ring of ended calls, or has not ended yet. */
export function callNotKept(callId: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'CALL_NOT_KEPT',
    message: `call ${callId} is not among the latest ended calls`,
    metadata: { call_id: callId },
  });
}
