import assert from 'node:assert/strict';
import { createSeededRandom } from '../../server/core/random.ts';
import { createMetaParser, type MetaReply } from '../../server/stores/cache/meta-parser.ts';

const stream = Buffer.concat([
  Buffer.from('MN\r\nVA 5 f1 c2 t-1\r\nEN\r\nx\r\nHD c7\r\nVA 0 f0\r\n\r\n'),
  Buffer.from('VA 300000 O12\r\n'),
  Buffer.alloc(300_000, 'VA 3\r\n'),
  Buffer.from('\r\nSERVER_ERROR out of memory storing object\r\nSTAT curr_items 5\r\nEND\r\n'),
]);

function parse(chunks: Iterable<Buffer>): string[] {
  const seen: MetaReply[] = [];
  const parser = createMetaParser((reply) => seen.push(reply));
  for (const chunk of chunks) parser.push(chunk);
  return seen.map(({ code, flags, value }) => `${code}|${flags}|${value === undefined ? '-' : Buffer.from(value)}`);
}

describe('meta protocol parser', () => {
  const whole = parse([stream]);

  it('reads answers and values', () => {
    assert.deepEqual(whole, [
      'MN||-',
      'VA|f1,c2,t-1|EN\r\nx',
      'HD|c7|-',
      'VA|f0|',
      `VA|O12|${'VA 3\r\n'.repeat(50_000)}`,
      'SERVER_ERROR|out,of,memory,storing,object|-',
      'STAT|curr_items,5|-',
      'END||-',
    ]);
  });

  it('reads the same however the stream is cut', () => {
    assert.deepEqual(parse(Array.from(stream, (byte) => Buffer.from([byte]))), whole);
    const random = createSeededRandom(5);
    for (let round = 0; round < 50; round++) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const size = 1 + Math.floor(random.next() ** 4 * 70_000);
        chunks.push(Buffer.from(stream.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(parse(chunks), whole);
    }
  });

  it('gives values that neither point into the read buffer nor hold it in memory', () => {
    const values: Uint8Array[] = [];
    const parser = createMetaParser(({ value }) => value && values.push(value));
    const chunk = Buffer.concat([Buffer.from('VA 3 f0\r\nabc\r\n'), Buffer.alloc(60_000, 'HD\r\n')]);
    parser.push(chunk);
    chunk.fill(0);
    assert.equal(Buffer.from(values[0] ?? []).toString(), 'abc');
    assert.ok((values[0]?.buffer.byteLength ?? Infinity) <= Buffer.poolSize);
  });

  it('refuses what is no meta protocol', () => {
    for (const text of [
      'VA x\r\n',
      'VA -1\r\n',
      'VA 99999999\r\n',
      'VA\r\n',
      'HD\n',
      'VA 2\r\nabc\r\n',
      'x'.repeat(3_000),
    ]) {
      assert.throws(() => parse([Buffer.from(text)]), Error, text.slice(0, 20));
    }
    assert.throws(() => parse(Array.from({ length: 3_000 }, () => Buffer.from('x'))), /line of over/);
  });
});
