import { invalidField } from '../../core/errors.ts';
import { findState } from '../job-message.ts';
import type { JobState } from '../job-record.ts';

/** The stored state of a message's state. Throws INVALID_FIELDS. */
export function readState(state: Parameters<typeof findState>[0], field: string): JobState {
  const found = findState(state);
  if (found === undefined) throw invalidField(field, 'must be a state of a job');
  return found;
}
