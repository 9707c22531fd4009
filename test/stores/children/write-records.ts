/**
 * Writes records for ever and prints each key once its put has resolved; started by sqlite-durability.test.ts,
 * which kills it. Arguments: database path, round.
 */
import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { openSqliteRecords } from '../../../server/stores/records/sqlite-records.ts';

const [path = '', round = ''] = process.argv.slice(2);
const records = await openSqliteRecords({ path, clock: systemClock, log: silentLogger });
process.stdout.write('open\n');

async function writeOne(writer: number, count: number): Promise<void> {
  const key = `${round}/${writer}/${count}`;
  const value = Buffer.from(key.repeat(1 + (count % 300)));
  if (count % 5 === 0) {
    const half = { kind: 'put', partition: 'pairs', value } as const;
    await records.batch([
      { ...half, key: `${key}/left` },
      { ...half, key: `${key}/right` },
    ]);
  } else {
    await records.put('single', key, value);
    process.stdout.write(`${key}\n`);
  }
}

async function write(writer: number): Promise<never> {
  for (let count = 0; ; count++) await writeOne(writer, count);
}
await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
