import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../server/core/config/read-config.ts';

describe('configuration', () => {
  it('gives every default when nothing is set, frozen', () => {
    const config = readConfig({});
    assert.equal(config.ADDRESS, '127.0.0.1:7400');
    assert.equal(config.MAX_MESSAGE_BYTES, 4_194_304);
    assert.ok(Object.isFrozen(config));
  });

  it('reports all faults at once, with a typo among them', () => {
    const env = {
      SHOWRUNNER_ADDRESS: 'nope',
      SHOWRUNNER_WORKERS: '-1',
      SHOWRUNNER_WROKERS: '2',
      SHOWRUNNER_TLS_CERT: 'a.pem',
    };
    assert.throws(
      () => readConfig(env),
      (error: Error) =>
        [
          'SHOWRUNNER_ADDRESS: expected host:port',
          'SHOWRUNNER_WORKERS: expected 0 to 64',
          'SHOWRUNNER_WROKERS: no such setting',
          'TLS_KEY must be set together',
        ].every((part) => error.message.includes(part)) && error.message.includes('4 fault(s)'),
    );
  });

  it('reports all faults of a file at once, also names that every object has', () => {
    const folder = mkdtempSync(join(tmpdir(), 'showrunner-config-'));
    try {
      const path = join(folder, 'showrunner.conf');
      writeFileSync(path, 'WORKERS\r\nconstructor=1\r\n=2\r\nLOG_LEVEL=loud\r\n');
      assert.throws(
        () => readConfig({ SHOWRUNNER_CONFIG: path, SHOWRUNNER_toString: '' }),
        (error: Error) =>
          [
            'CONFIG: line 1: expected NAME=value',
            'CONFIG: line 3: expected NAME=value',
            'SHOWRUNNER_constructor: no such setting',
            'SHOWRUNNER_toString: no such setting',
            'SHOWRUNNER_LOG_LEVEL: expected one of',
          ].every((part) => error.message.includes(part)) && error.message.includes('5 fault(s)'),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('takes addresses of Redis and memcached that are whole, and repeats no password', () => {
    for (const url of ['redis://h', 'rediss://u:p@h:1/3', 'unix:/run/redis.sock', '']) {
      assert.equal(readConfig({ SHOWRUNNER_REDIS_URL: url }).REDIS_URL, url || undefined);
    }
    assert.equal(readConfig({ SHOWRUNNER_MEMCACHED_URL: 'memcached://h:1' }).MEMCACHED_URL, 'memcached://h:1');
    for (const [name, url] of [
      ['REDIS_URL', 'redis://:hunter2@'],
      ['REDIS_URL', 'redis://u:hunter2@h/first'],
      ['REDIS_URL', 'unix:redis.sock'],
      ['MEMCACHED_URL', 'memcached://'],
      ['MEMCACHED_URL', 'memcached://h:1/pool'],
    ] as const) {
      assert.throws(
        () => readConfig({ [`SHOWRUNNER_${name}`]: url }),
        (error: Error) => error.message.includes(`SHOWRUNNER_${name}: expected`) && !error.message.includes('hunter2'),
        url,
      );
    }
  });

  it('reads a file and lets the environment win', () => {
    const folder = mkdtempSync(join(tmpdir(), 'showrunner-config-'));
    try {
      const path = join(folder, 'showrunner.conf');
      writeFileSync(path, `# a comment\nSHOWRUNNER_WORKERS=4\nLOG_LEVEL = warn\nSTATE_DIR="a b"\nJWT_ISSUER='it"s'\n`);
      const config = readConfig({ SHOWRUNNER_CONFIG: path, SHOWRUNNER_WORKERS: '3' });
      assert.equal(config.WORKERS, 3);
      assert.equal(config.LOG_LEVEL, 'warn');
      assert.equal(config.STATE_DIR, 'a b');
      assert.equal(config.JWT_ISSUER, 'it"s');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
