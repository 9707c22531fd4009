import assert from 'node:assert/strict';
import { decodeRatings, decodeTitles, encodeRatings, encodeTitles } from '../../server/ranking/data/dataset-file.ts';
import { compareIds } from '../../server/ranking/data/id-index.ts';
import { parseRatingsCsv, parseTitlesCsv } from '../../server/ranking/data/movielens-csv.ts';
import { createRatingsTableBuilder } from '../../server/ranking/data/ratings-table.ts';
import { readSectionedFile, writeSectionedFile } from '../../server/ranking/data/sectioned-file.ts';
import { profilesByTitle, rowOf, titlesByProfile } from '../../server/ranking/data/sparse-rows.ts';
import { splitByFold, splitByTime } from '../../server/ranking/data/split.ts';
import { movielens } from './fixtures/movielens.ts';

function tableOf(rows: readonly (readonly [profile: string, title: string, value: number, timeMs: number])[]) {
  const builder = createRatingsTableBuilder();
  for (const [profile, title, value, timeMs] of rows) builder.add({ profile, title, value, timeMs });
  return builder;
}

describe('ratings data', () => {
  it('reads MovieLens ratings and tells each faulty line beside the good ones', () => {
    const header = 'userId,movieId,rating,timestamp\r\n';
    const parsed = parseRatingsCsv(
      `${header}1,2,4.5,100\r\n1,3,6,100\n1,4,3.3,100\n,4,3,100\n1,5\n1,6,x,7\n2,2,.5,1\n3,2,5.0,9`,
    );
    assert.deepEqual(parsed.rows, [
      { profile: '1', title: '2', value: 4.5, timeMs: 100_000 },
      { profile: '3', title: '2', value: 5, timeMs: 9_000 },
    ]);
    assert.deepEqual(
      parsed.faults.map(({ line }) => line),
      [3, 4, 5, 6, 7, 8],
    );
    assert.equal(parsed.faults[0]?.description, 'expected a rating from 0.5 to 5 in steps of 0.5, got 6');
    assert.equal(parsed.faults[3]?.description, 'expected 4 fields, got 2');
  });

  it('keeps the first hundred faults and counts all of them', () => {
    const parsed = parseRatingsCsv(`userId,movieId,rating,timestamp\n${'bad\n'.repeat(250)}`);
    assert.equal(parsed.faults.length, 100);
    assert.equal(parsed.faultCount, 250);
    assert.match(parseRatingsCsv('').faults[0]?.description ?? '', /empty file/);
    assert.match(parseRatingsCsv('a,b\n').faults[0]?.description ?? '', /expected the header/);
  });

  it('reads quoted titles with commas and quotes, and titles without genres', () => {
    const parsed = parseTitlesCsv(
      'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama\n12,"The ""Big"" One",(no genres listed)\n13,"open,Drama\n14,"x"y,Drama\n',
    );
    assert.deepEqual(parsed.rows, [
      { id: '11', name: 'American President, The (1995)', genres: ['Comedy', 'Drama'] },
      { id: '12', name: 'The "Big" One', genres: [] },
    ]);
    assert.deepEqual(
      parsed.faults.map(({ description }) => description),
      ['a quoted field has no end', 'text after a quoted field'],
    );
  });

  it('orders ids by number first, whatever order the rows come in', () => {
    assert.deepEqual(['b', '10', 'a', '9', '010'].sort(compareIds), ['9', '010', '10', 'a', 'b']);
    const table = tableOf([
      ['u', '10', 4, 1],
      ['t', '9', 3, 1],
    ]).finish();
    assert.deepEqual(table.titles.ids, ['9', '10']);
    assert.deepEqual([...table.title], [1, 0]);
    assert.equal(table.profiles.indexOf('u'), 1);
    assert.equal(table.profiles.indexOf('v'), undefined);
  });

  it('lets a later rating of the same pair replace the earlier one, in any order', () => {
    const rows = [
      ['u', 'a', 2, 5],
      ['u', 'a', 4, 9],
      ['u', 'a', 1, 3],
    ] as const;
    for (const order of [
      [0, 1, 2],
      [1, 2, 0],
      [2, 1, 0],
    ] as const) {
      const builder = tableOf(order.map((at) => rows[at] ?? rows[0]));
      assert.equal(builder.replaced, 2);
      const table = builder.finish();
      assert.deepEqual([[...table.value], [...table.timeMs]], [[4], [9]]);
    }
  });

  it('refuses more ratings than its bound', () => {
    const builder = createRatingsTableBuilder({ maxRows: 1 });
    builder.add({ profile: 'u', title: 'a', value: 4, timeMs: 1 });
    builder.add({ profile: 'u', title: 'a', value: 5, timeMs: 2 });
    assert.throws(() => builder.add({ profile: 'u', title: 'b', value: 4, timeMs: 1 }), {
      reason: 'DATASET_TOO_LARGE',
    });
  });

  it('splits MovieLens as the published protocols do', () => {
    const table = movielens();
    assert.deepEqual([table.value.length, table.profiles.ids.length, table.titles.ids.length], [100_836, 610, 9_724]);
    const sizes = [0, 1, 2, 3, 4].map((fold) => splitByFold(table, fold).test.value.length);
    assert.deepEqual(sizes, [20_201, 20_203, 20_152, 20_091, 20_189]);
    const { train, test } = splitByTime(table);
    assert.equal(titlesByProfile(train, 4).columns.length, 39_071);
    assert.equal(titlesByProfile(test, 4).columns.length, 9_509);
    assert.equal(train.value.length + test.value.length, 100_836);
  });

  it('groups rows both ways, each row ascending', () => {
    const table = tableOf([
      ['1', '30', 4, 1],
      ['2', '10', 2, 1],
      ['1', '10', 5, 1],
      ['1', '20', 1, 1],
    ]).finish();
    assert.deepEqual([...rowOf(titlesByProfile(table), 0)], [0, 1, 2]);
    assert.deepEqual([...rowOf(titlesByProfile(table, 4), 0)], [0, 2]);
    assert.deepEqual([...rowOf(titlesByProfile(table, 4), 1)], []);
    assert.deepEqual([...rowOf(profilesByTitle(table), 0)], [0, 1]);
  });

  it('stores a table and its titles and gives them back, equal content as equal bytes', () => {
    const table = movielens();
    const bytes = encodeRatings(table);
    assert.deepEqual(encodeRatings(table), bytes);
    // A pooled, unaligned buffer is what a store may hand out.
    const shifted = new Uint8Array(bytes.length + 1).subarray(1);
    shifted.set(bytes);
    const back = decodeRatings(shifted, 'x');
    assert.deepEqual(back.value, table.value);
    assert.deepEqual(back.timeMs, table.timeMs);
    assert.deepEqual(back.titles.ids, table.titles.ids);
    const titles = [{ id: '1', name: 'Ünï', genres: ['Drama'] }];
    assert.deepEqual(decodeTitles(encodeTitles(titles), 'x'), titles);
  });

  it('names what is wrong with a damaged file', () => {
    const bytes = encodeRatings(tableOf([['u', 'a', 4, 1]]).finish());
    const damaged = { reason: 'RANKING_FILE_DAMAGED' };
    assert.throws(() => decodeRatings(bytes.subarray(0, 8), 'x'), damaged);
    assert.throws(() => decodeRatings(bytes.subarray(0, 40), 'x'), damaged);
    assert.throws(() => decodeRatings(bytes.subarray(0, bytes.length - 64), 'x'), damaged);
    assert.throws(() => decodeRatings(Buffer.from('something else, long enough'), 'x'), damaged);
    assert.throws(() => decodeTitles(Buffer.from('[{"id":1}]'), 'x'), damaged);
    assert.throws(() => decodeTitles(Buffer.from('{'), 'x'), damaged);
    const other = writeSectionedFile('other', {}, { a: new Uint32Array([1]) });
    assert.throws(() => decodeRatings(other, 'x'), /holds "other"/);
    assert.throws(() => readSectionedFile(other, 'other', 'x').f32('a'), damaged);
    assert.deepEqual(readSectionedFile(other, 'other', 'x').u32('a'), new Uint32Array([1]));
    const wrongIndex = { ...tableOf([['u', 'a', 4, 1]]).finish(), title: new Uint32Array([1]) };
    assert.throws(() => decodeRatings(encodeRatings(wrongIndex), 'x'), /index that has no id/);
  });
});
