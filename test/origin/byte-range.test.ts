import assert from 'node:assert/strict';
import { parseByteRange } from '../../server/origin/byte-range.ts';

describe('a Range header', () => {
  const cases: readonly [header: string | undefined, bytes: number, expected: ReturnType<typeof parseByteRange>][] = [
    [undefined, 10, undefined],
    ['bytes=0-4', 10, { start: 0, end: 5 }],
    ['bytes=5-', 10, { start: 5, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-30', 10, { start: 0, end: 10 }],
    ['bytes=8-100', 10, { start: 8, end: 10 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-0', 0, 'unsatisfiable'],
    ['bytes=5-4', 10, undefined],
    ['bytes=0-1,4-5', 10, undefined],
    ['chunks=0-1', 10, undefined],
    ['bytes=-', 10, undefined],
  ];
  for (const [header, bytes, expected] of cases) {
    it(`"${header}" of ${bytes} bytes is ${JSON.stringify(expected)}`, () =>
      assert.deepEqual(parseByteRange(header, bytes), expected));
  }
});
