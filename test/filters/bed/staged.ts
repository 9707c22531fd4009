import assert from 'node:assert/strict';
import type { FilterEngine } from '../../../plugins/engine/engine.ts';
import { Code } from '../../../server/core/codes.ts';
import { AppError } from '../../../server/core/errors.ts';
import { createFakeCall } from './fake-call.ts';
import { type RunResult, runCall } from './run-call.ts';

/** Source of a filter `test.<name>` that imports the contract by its public name. */
export function sourceOf(name: string, version: string, fields: string, head = ''): { id: string; source: string } {
  return {
    id: `test.${name}`,
    source: `import { AppError, Code, contextKey, defineFilter, schema } from 'showrunner/filter';
${head}
export const filter = defineFilter({
  id: 'test.${name}', version: '${version}', type: 'inbound', order: 0, category: 'context',
  ${fields}
});
`,
  };
}

export const answering = (text: string) => `run: () => ({ messages: ['${text}'] }),`;

export async function answerOf(
  engine: FilterEngine,
  init: Parameters<typeof createFakeCall>[0] = {},
): Promise<unknown> {
  return (await runCall(engine, createFakeCall(init))).responses[0];
}

/** Takes `count` calls, one after the other. */
export async function takeCalls(engine: FilterEngine, count: number): Promise<RunResult[]> {
  const results: RunResult[] = [];
  for (let i = 0; i < count; i++) results.push(await runCall(engine, createFakeCall()));
  return results;
}

/** Asserts that the promise rejects with FILTER_REFUSED by this check. */
export async function refusedBy(check: string, promise: Promise<unknown>, message?: RegExp): Promise<void> {
  const error = await promise.then(
    () => assert.fail(`expected a refusal by ${check}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, String(error));
  assert.deepEqual(
    [error.code, error.reason, error.metadata['check']],
    [Code.FAILED_PRECONDITION, 'FILTER_REFUSED', check],
    error.message,
  );
  if (message !== undefined) assert.match(error.message, message);
}
