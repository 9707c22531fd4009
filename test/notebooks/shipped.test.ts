import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { runNotebookTest } from '../../notebooks-runner/testing/run-notebook-test.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { createNotebookBed } from './notebook-bed.ts';

const notebooksDir = join(import.meta.dirname, '../../notebooks');
const run = { hostEnv: process.env, clock: systemClock, log: silentLogger };

describe('shipped notebooks', () => {
  it('are stored without outputs, declare their parameters and say what they are', async () => {
    const names = (await readdir(notebooksDir)).filter((name) => name.endsWith('.ipynb'));
    const readme = await readFile(join(notebooksDir, 'README.md'), 'utf8');
    for (const name of names) {
      const { notebook, warnings } = readNotebook(await readFile(join(notebooksDir, name)));
      assert.deepEqual(warnings, [], name);
      assert.ok(readme.includes(`\`shipped/${name.replace('.ipynb', '')}\``), `README.md names ${name}`);
      for (const cell of notebook.cells) if (cell.cell_type === 'code') assert.deepEqual(cell.outputs, [], name);
    }
    assert.ok(names.length >= 4);
  });

  it('find no fault in the ratings that come with the repository', async () => {
    const suite = await runNotebookTest({ path: join(notebooksDir, 'ratings-quality.ipynb'), run });
    assert.deepEqual(
      suite.cases.map(({ name, status, message }) => [name, status, message]),
      [
        ['the sums agree with each other', 'passed', ''],
        ['few enough rows have faults', 'passed', ''],
        ['runs to its end', 'passed', ''],
      ],
    );
  });

  it('find every kind of fault in ratings that have them, and fail over the allowed share', async () => {
    await using bed = await createNotebookBed();
    const rows = [
      'userId,movieId,rating,timestamp',
      '1,1,4.0,964982703',
      '1,1,3.0,964982703',
      '2,99,3.0,964982703',
      '3,1,3.7,964982703',
      '4,1,9,964982703',
      '5,1,3.0,12',
      'x,1,3.0,964982703',
      '6,1,3.0',
    ];
    const record = await bed.run([], {
      inputPath: join(notebooksDir, 'ratings-quality.ipynb'),
      parameters: { maxFaultShare: 0.5 },
      fillCwd: async (dir) => {
        await writeFile(join(dir, 'ratings.csv'), rows.join('\r\n'));
        await writeFile(join(dir, 'movies.csv'), 'movieId,title,genres\n1,"A, B",X\n');
      },
    });
    assert.deepEqual(record.scraps['faults']?.data, {
      fields: 1,
      ids: 1,
      value: 1,
      step: 1,
      time: 2,
      duplicate: 1,
      unknownMovie: 1,
    });
    assert.deepEqual([record.scraps['ratings']?.data, record.scraps['faulty_share']?.data], [8, 7 / 8]);
    assert.deepEqual([record.status, record.failure?.ename], ['failed', 'Error']);
    assert.match(record.failure?.evalue ?? '', /7 of 8 rows have faults, over the share of 0\.5/);
  });

  it('report what was watched by title from a file of events, doubled ones counted once', async () => {
    await using bed = await createNotebookBed();
    const play = (id: string, title: string, profile: string, fraction: number, time = '2026-03-01T20:15:00Z') => ({
      eventId: id,
      kind: 'play.stopped',
      profile: `profiles/${profile}`,
      subject: `titles/${title}`,
      occurredTime: time,
      data: { fraction },
    });
    const lines = [
      play('1', 'a', 'x', 1),
      play('1', 'a', 'x', 1),
      play('2', 'a', 'y', 0.5, '2026-03-01T07:00:00Z'),
      { events: [play('3', 'b', 'x', 0.95), { ...play('4', 'b', 'x', 0), kind: 'title.rated', data: { stars: 4 } }] },
      play('5', 'b', 'z', 1, '2027-01-01T00:00:00Z'),
      { ...play('6', 'c', 'x', 1), subject: '' },
      { eventId: '7', kind: 'profile.changed' },
    ];
    const record = await bed.run([], {
      inputPath: join(notebooksDir, 'viewing-report.ipynb'),
      parameters: { untilTime: '2027-01-01T00:00:00Z' },
      fillCwd: (dir) => writeFile(join(dir, 'events.ndjson'), lines.map((line) => JSON.stringify(line)).join('\n')),
    });
    assert.equal(record.failure, undefined);
    const { plays, members, titles, by_title: byTitle, completion } = record.scraps;
    assert.deepEqual([plays?.data, members?.data, titles?.data, completion?.data], [3, 2, 2, 2 / 3]);
    assert.deepEqual(byTitle?.data, [
      { title: 'titles/a', plays: 2, members: 2, watched: 0.75, completion: 0.5, stars: 0 },
      { title: 'titles/b', plays: 1, members: 1, watched: 0.95, completion: 1, stars: 4 },
    ]);
    const page = renderNotebookHtml(record.notebook);
    assert.match(page, /<td>titles\/a<\/td><td>2<\/td>.*data:image\/svg\+xml/s);
  });

  it('say that they need a server, where they do', async () => {
    await using dir = await createTempDir();
    await mkdir(join(dir.path, 'x'));
    const suite = await runNotebookTest({ path: join(notebooksDir, 'grpc-integration.ipynb'), run });
    assert.deepEqual(
      suite.cases.map(({ status }) => status),
      ['skipped'],
    );
  });
});
