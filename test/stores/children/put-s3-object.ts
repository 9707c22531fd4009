import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { systemRandom } from '../../../server/core/random.ts';
import { openS3Objects } from '../../../server/stores/objects/s3-objects.ts';
import { createTempDir } from '../../support/temp-dir.ts';

// Puts one large object again and again into the bucket; killed by the test in the middle of it.
const [endpoint = '', bucket = '', prefix = ''] = process.argv.slice(2);
await using dir = await createTempDir();
const location = { bucket, prefix, endpoint, region: undefined, pathStyle: true };
const parts = { dir: dir.path, clock: systemClock, random: systemRandom, log: silentLogger };
const store = await openS3Objects({ location, ...parts, partBytes: 5 * 1024 * 1024 });
await store.put('killed', Buffer.alloc(400 * 1024 * 1024));
