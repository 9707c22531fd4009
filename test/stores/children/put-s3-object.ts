import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import { systemRandom } from '../../../server/core/random.ts';
import { openS3Objects } from '../../../server/stores/objects/s3-objects.ts';

// Puts one large object into the bucket; killed by the test in the middle of it.
const [dir = '', endpoint = '', bucket = '', prefix = ''] = process.argv.slice(2);
const location = { bucket, prefix, endpoint, region: undefined, pathStyle: true };
const parts = { dir, clock: systemClock, random: systemRandom, log: silentLogger };
const store = await openS3Objects({ location, ...parts, partBytes: 5 * 1024 * 1024 });
await store.put('killed', Buffer.alloc(160 * 1024 * 1024));
