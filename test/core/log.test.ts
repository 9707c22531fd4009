import assert from 'node:assert/strict';
import { createLogger } from '../../server/core/log.ts';

function createBook() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => {
    assert.ok(line.endsWith('}\n') && !line.slice(0, -1).includes('\n'), 'one line each');
    lines.push(JSON.parse(line));
  };
  return { lines, log: createLogger({ level: 'info', now: () => 0, write }) };
}

describe('the logger', () => {
  it('writes one JSON line with the time, the level, bound fields and its own', () => {
    const { lines, log } = createBook();
    const child = log.child({ process: 'server' }).child({ filter: 'a', gone: undefined });
    log.info('bare');
    log.debug('below the level');
    child.warn('quoted "text"\n', { n: 1, list: [1n], none: undefined });
    child.error('own wins', { filter: 'b' });
    const time = '1970-01-01T00:00:00.000Z';
    assert.deepEqual(lines, [
      { time, level: 'info', message: 'bare' },
      { time, level: 'warn', message: 'quoted "text"\n', process: 'server', filter: 'a', n: 1, list: ['1'] },
      { time, level: 'error', message: 'own wins', process: 'server', filter: 'b' },
    ]);
  });

  it('writes errors with their causes, and numbers that JSON does not have', () => {
    const { lines, log } = createBook();
    log.error('failed', { error: new Error('outer', { cause: new TypeError('inner') }), big: 12n });
    const error = lines[0]?.['error'] as { name: string; message: string; stack: string; cause: { name: string } };
    assert.deepEqual([error.name, error.message, error.cause.name], ['Error', 'outer', 'TypeError']);
    assert.match(error.stack, /log\.test\.ts/);
    assert.equal(lines[0]?.['big'], '12');
  });

  it('writes what JSON cannot hold without failing whoever logs it', () => {
    const { lines, log } = createBook();
    const ring: Record<string, unknown> = {};
    ring['self'] = ring;
    const cause: Error & { cause?: unknown } = new Error('a');
    cause.cause = new Error('b', { cause });
    log.error('failed', { ring, error: new Error('odd', { cause: ring }), id: 7 });
    log.error('failed', { error: cause });
    assert.match(String(lines[0]?.['ring']), /circular/);
    assert.equal(lines[0]?.['id'], 7);
    assert.match(JSON.stringify(lines[0]?.['error']), /odd/);
    assert.match(JSON.stringify(lines[1]?.['error']), /"message":"a".*"message":"b"/);
  });
});
