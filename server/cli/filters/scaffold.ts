import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { invalidField, messageOf } from '../../core/errors.ts';

const filterSource = (id: string) => `import { AppError, Code, defineFilter, schema } from 'showrunner/filter';

/** An example to start from: refuses calls whose x-word metadata holds the word of its configuration. */
export const filter = defineFilter({
  id: '${id}',
  version: '1.0.0',
  description: 'Refuses calls that carry a forbidden word.',
  type: 'inbound',
  // After authentication (-500) and rate limit (-400).
  order: 0,
  category: 'abuse',
  failurePolicy: 'closed',
  match: { metadata: { 'x-word': true } },
  config: schema.shape({ word: schema.withDefault(schema.text(1, 64), 'forbidden') }),
  run: (call, { config }) => {
    if (call.requestMetadata.get('x-word') !== config.word) return;
    throw new AppError({ code: Code.PERMISSION_DENIED, reason: 'WORD_FORBIDDEN', message: 'this word is not allowed' });
  },
  selfTest: [
    { name: 'leaves calls without a word alone', expect: 'skips' },
    { name: 'lets other words through', call: { metadata: { 'x-word': 'hello' } }, expect: 'passes' },
    {
      name: 'refuses the word of its configuration',
      config: { word: 'hello' },
      call: { metadata: { 'x-word': 'hello' } },
      expect: { refuses: 'WORD_FORBIDDEN' },
    },
  ],
});
`;

const testSource = (id: string) => `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openFilterKit } from 'showrunner/filter-kit';

test('${id} refuses its word and no other', async () => {
  await using filter = await openFilterKit(import.meta.url, { config: { word: 'x' } });
  const refused = await filter.take({ call: { metadata: { 'x-word': 'x' } } });
  assert.deepEqual([refused.outcome, refused.reason], ['refuses', 'WORD_FORBIDDEN']);
  const passed = await filter.take({ call: { metadata: { 'x-word': 'y' } } });
  assert.equal(passed.outcome, 'passes');
});
`;

/** Makes a folder, named by the last part of the id, with a filter, its self-tests and a test; gives its path. */
export function scaffoldFilter(id: string, parent: string): string {
  if (!/^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/.test(id)) {
    throw invalidField('ID', `must be namespace.name in lower case, got "${id}"`);
  }
  const folder = join(parent, id.slice(id.lastIndexOf('.') + 1));
  try {
    mkdirSync(parent, { recursive: true });
    mkdirSync(folder);
    writeFileSync(join(folder, 'filter.ts'), filterSource(id));
    writeFileSync(join(folder, 'filter.test.ts'), testSource(id));
  } catch (error) {
    throw invalidField('ID', messageOf(error));
  }
  return folder;
}
