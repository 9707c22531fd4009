/** Puts one object of 300 kB and prints the outcome; started under a file size limit by folder-faults.test.ts. */
import { systemClock } from '../../../server/core/clock.ts';
import { AppError } from '../../../server/core/errors.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { openFolderObjects } from '../../../server/stores/objects/folder-objects.ts';

const [dir = ''] = process.argv.slice(2);
const objects = await openFolderObjects({ dir, clock: systemClock, log: silentLogger });
await objects.put('small', Buffer.alloc(1_000));
const outcome = await objects.put('large', Buffer.alloc(300_000)).then(
  () => 'stored',
  (error) => (error instanceof AppError ? error.reason : String(error)),
);
process.stdout.write(`${outcome}\n`);
