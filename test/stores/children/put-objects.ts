/**
 * Puts objects over and over under a few keys; started by folder-durability.test.ts, which kills it.
 * Each body is one line repeated, so that a torn one is recognised. Arguments: folder, first number.
 */
import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { openFolderObjects } from '../../../server/stores/objects/folder-objects.ts';

const [dir = '', first = '0'] = process.argv.slice(2);
const objects = await openFolderObjects({ dir, clock: systemClock, log: silentLogger });

async function* bodyOf(number: number): AsyncGenerator<Uint8Array> {
  for (let part = 0; part < 8; part++) yield Buffer.from(`${number}\n`.repeat(4_000));
}

for (let number = Number(first); ; number++) {
  const contentType = `text/x-${number}`;
  await objects.put(`replaced/${number % 3}`, bodyOf(number), { contentType });
  await objects.put(`once/${number}`, bodyOf(number), { contentType, ifAbsent: true });
  process.stdout.write(`${number}\n`);
}
