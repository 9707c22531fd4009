import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call, CallMetadata, CallOutcome } from '../../server/core/call.ts';

function metadata(): CallMetadata {
  const map = new Map<string, string>();
  return {
    get: (key) => map.get(key),
    getBinary: () => undefined,
    getAll: () => [],
    set: () => {},
    append: () => {},
    delete: () => {},
    keys: () => [],
  };
}

/** A call without a connection. */
export const benchCall: Call = {
  ...{ id: 'bench', path: '/bench.Service/Get', service: 'bench.Service', method: 'Get', kind: 'unary', known: true },
  ...{ requestMetadata: metadata(), responseHeaders: metadata(), responseTrailers: metadata(), peer: '127.0.0.1:1' },
  ...{ deadline: Number.POSITIVE_INFINITY, startedAt: 0, principal: undefined, attributes: new Map() },
  ...{ idempotency: 'unknown', signal: new AbortController().signal },
};

export const benchOutcome: CallOutcome = {
  ...{ code: 0, error: undefined, durationMs: 1, requestMessages: 1, responseMessages: 1 },
};

/** Writes the folder of a filter `bench.<name>`; `fields` is TypeScript inside the object literal. */
export function writeBenchFilter(dir: string, name: string, fields: string, head = ''): void {
  mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(
    join(dir, name, 'filter.ts'),
    `import { defineFilter } from 'showrunner/filter';
${head}
export const filter = defineFilter({ id: 'bench.${name}', version: '1.0.0', type: 'inbound', order: 0,
  category: 'context', ${fields} });`,
  );
}
