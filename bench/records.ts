import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../server/core/clock.ts';
import { silentLogger } from '../server/core/log.ts';
import type { RecordsStore } from '../server/stores/records/records-store.ts';
import { openSqliteRecords } from '../server/stores/records/sqlite-records.ts';
import type { BenchReport, BenchRow } from './report.ts';
import { median } from './statistics.ts';

const rounds = 5;
const putsPerRound = 4_000;
const inFlight = 64;
const scanRows = 10_000;
const value = new Uint8Array(300).fill(7);

/** The same table and durability by hand: a transaction and an fsync per row. */
function openByHand(path: string) {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;');
  database.exec('CREATE TABLE rows (partition TEXT, key TEXT, value BLOB, PRIMARY KEY (partition, key)) WITHOUT ROWID');
  const put = database.prepare('INSERT OR REPLACE INTO rows VALUES (?, ?, ?)');
  const scan = database.prepare('SELECT key, value FROM rows WHERE partition = ? ORDER BY key LIMIT ?');
  return { put: (key: string) => put.run('bench', key, value), scan: () => scan.all('bench', scanRows), database };
}

type ByHand = ReturnType<typeof openByHand>;

interface Speed {
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

async function timed(count: number, work: () => Promise<void>): Promise<Speed> {
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { perSecond: count / seconds, perCpuSecond: count / ((user + system) / 1e6) };
}

function putConcurrently(records: RecordsStore, round: number): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < putsPerRound) await records.put('bench', keyOf(round, next++), value);
  };
  return Promise.all(Array.from({ length: inFlight }, lane)).then(() => {});
}

function keyOf(round: number, index: number): string {
  return `r${round}-${String(index).padStart(6, '0')}`;
}

function rowOf(
  measure: string,
  unit: string,
  ours: Speed[],
  peer: Speed[],
  field: keyof Speed,
  name: string,
): BenchRow {
  const a = ours.map((speed) => speed[field]);
  const b = peer.map((speed) => speed[field]);
  return {
    measure,
    ours: median(a),
    unit,
    peer: { name, value: median(b) },
    ratio: median(a.map((each, index) => each / (b[index] ?? Number.NaN))),
  };
}

async function measure(records: RecordsStore, byHand: ByHand): Promise<BenchRow[]> {
  const seen = { puts: [] as Speed[], handPuts: [] as Speed[], scans: [] as Speed[], handScans: [] as Speed[] };
  for (let round = 0; round < rounds; round++) {
    seen.puts.push(await timed(putsPerRound, () => putConcurrently(records, round)));
    seen.handPuts.push(
      await timed(putsPerRound, async () => {
        for (let index = 0; index < putsPerRound; index++) byHand.put(keyOf(round, index));
      }),
    );
  }
  for (let round = 0; round < rounds; round++) {
    seen.scans.push(
      await timed(scanRows, async () => {
        const found = await records.scan('bench', { limit: scanRows });
        if (found.length !== scanRows) throw new Error(`scan gave ${found.length} rows`);
      }),
    );
    seen.handScans.push(
      await timed(scanRows, async () => {
        if (byHand.scan().length !== scanRows) throw new Error('scan by hand fell short');
      }),
    );
  }
  const hand = 'node:sqlite by hand';
  return [
    rowOf('durable puts of 300 B, 64 at once', '/ s', seen.puts, seen.handPuts, 'perSecond', hand),
    rowOf('the same', '/ CPU-s', seen.puts, seen.handPuts, 'perCpuSecond', hand),
    rowOf('scanned rows of 300 B', '/ CPU-s', seen.scans, seen.handScans, 'perCpuSecond', hand),
  ];
}

/** The records store against node:sqlite used by hand at the same durability, interleaved rounds in one run. */
export async function runRecordsBench(): Promise<BenchReport> {
  const dir = await mkdtemp(join(tmpdir(), 'showrunner-bench-records-'));
  const records = await openSqliteRecords({ path: join(dir, 'records.db'), clock: systemClock, log: silentLogger });
  const byHand = openByHand(join(dir, 'by-hand.db'));
  try {
    return { name: 'records', rows: await measure(records, byHand) };
  } finally {
    await records.close();
    byHand.database.close();
    await rm(dir, { recursive: true, force: true });
  }
}
