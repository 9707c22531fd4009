import assert from 'node:assert/strict';
import { readConfig } from '../../server/core/config/read-config.ts';

describe('the setting WORKER_SLOTS', () => {
  it('gives slots by queue class', () => {
    const { WORKER_SLOTS } = readConfig({ SHOWRUNNER_WORKER_SLOTS: 'encode=2, transcode=8,' });
    assert.deepEqual(WORKER_SLOTS, { encode: 2, transcode: 8 });
    assert.deepEqual(readConfig({}).WORKER_SLOTS, {});
  });

  it('refuses what is not a class with its number', () => {
    for (const bad of ['encode', 'encode=', 'encode=65', 'encode=-1', '=1']) {
      assert.throws(() => readConfig({ SHOWRUNNER_WORKER_SLOTS: bad }), /WORKER_SLOTS: expected name=number/, bad);
    }
  });
});
