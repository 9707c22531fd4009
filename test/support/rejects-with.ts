import assert from 'node:assert/strict';
import type { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';

/** Asserts that the promise rejects with an AppError of this code and reason, and gives the error. */
export async function rejectsWith(promise: Promise<unknown>, code: Code, reason: string): Promise<AppError> {
  const error = await promise.then(
    () => assert.fail(`expected ${reason}, but the call succeeded`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, `expected an AppError ${reason}, got ${String(error)}`);
  assert.deepEqual({ code: error.code, reason: error.reason }, { code, reason });
  return error;
}
