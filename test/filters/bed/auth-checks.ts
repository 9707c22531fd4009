import assert from 'node:assert/strict';
import type { FilterEngine } from '../../../plugins/engine/engine.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { Code } from '../../../server/core/codes.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createFakeCall, type FakeCall } from './fake-call.ts';
import { runCall } from './run-call.ts';
import { startShipped } from './shipped.ts';

const id = 'showrunner.auth';

export const apiKeys = [
  { id: 'demo', secret: 'demo-secret-1', scopes: ['read', 'write'] },
  { id: 'ops', secret: 'ops-secret-22', scopes: ['filters.admin'] },
];

/** The engine with the authentication filter alone. */
export function startAuth(config: object, clock: Clock = createFakeClock()): Promise<FilterEngine & AsyncDisposable> {
  return startShipped({ [id]: config }, { clock, only: [id] });
}

/** Asserts that the call is refused, and that nothing of it got through. */
export async function refused(engine: FilterEngine, call: FakeCall, code: Code, reason: string): Promise<void> {
  const { error, endpointSaw } = await runCall(engine, call);
  assert.deepEqual([error?.code, error?.reason], [code, reason]);
  assert.equal(endpointSaw, undefined, 'the endpoint must not run');
  assert.equal(call.principal, undefined);
}

/** Asserts that a call with this metadata is refused as UNAUTHENTICATED. */
export function unauthenticated(engine: FilterEngine, metadata: Record<string, string>, reason: string): Promise<void> {
  return refused(engine, createFakeCall({ metadata }), Code.UNAUTHENTICATED, reason);
}

/** Asserts that the call passes, and gives it with its principal. */
export async function accepted(engine: FilterEngine, call: FakeCall): Promise<FakeCall> {
  const { error } = await runCall(engine, call);
  assert.equal(error, undefined);
  return call;
}

/** The authorization header of a key or token. */
export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}
