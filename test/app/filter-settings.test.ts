import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFilterSettings } from '../../server/app/filter-settings.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { createTempDir } from '../support/temp-dir.ts';

describe('settings of the shipped filters', () => {
  it('carry the local key, the keys of the environment and the scopes of the admin services', () => {
    const config = readConfig({ SHOWRUNNER_API_KEYS: 'tv:s3cret-tv:, ops:s3cret-ops:filters.admin+telemetry.read' });
    const auth = readFilterSettings(config)('local-key')['showrunner.auth'] as {
      keys: unknown[];
      requiredScopes: object;
    };
    assert.deepEqual(auth.keys, [
      { id: 'local-admin', secret: 'local-key', scopes: ['filters.admin', 'telemetry.read'] },
      { id: 'tv', secret: 's3cret-tv', scopes: [] },
      { id: 'ops', secret: 's3cret-ops', scopes: ['filters.admin', 'telemetry.read'] },
    ]);
    assert.deepEqual(Object.values(auth.requiredScopes), ['filters.admin', 'telemetry.read']);
  });

  it('refuse a malformed key entry without repeating it', () => {
    for (const entry of ['only-a-secret', ':p4ss:', 'tv:sec:ret:scope']) {
      const config = readConfig({ SHOWRUNNER_API_KEYS: `ops:s3cret-ops:,${entry}` });
      assert.throws(
        () => readFilterSettings(config),
        (error: Error) => error.message.includes('entry 2') && !error.message.includes(entry),
      );
    }
  });

  it('let the file replace whole keys of a filter and add other filters', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'filters.json');
    writeFileSync(path, JSON.stringify({ 'showrunner.auth': { allowAnonymous: true }, 'acme.x': { a: 1 } }));
    const merged = readFilterSettings(readConfig({ SHOWRUNNER_FILTERS_CONFIG: path }))('k');
    assert.equal((merged['showrunner.auth'] as { allowAnonymous: boolean }).allowAnonymous, true);
    assert.ok((merged['showrunner.auth'] as { keys: unknown[] }).keys.length === 1);
    assert.deepEqual(merged['acme.x'], { a: 1 });
  });

  it('name the file when it cannot be read', () => {
    assert.throws(
      () => readFilterSettings(readConfig({ SHOWRUNNER_FILTERS_CONFIG: '/nowhere.json' })),
      /nowhere\.json/,
    );
  });
});
