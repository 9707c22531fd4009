import { systemClock } from '../../server/core/clock.ts';
import { createLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';

/** A worker process of the bench, one slot a class: `worker.ts <redis url> <work folder> <objects folder>`. */
const [url = '', workDir = '', dir = ''] = process.argv.slice(2);
const log = createLogger({ level: 'error' });
const objects = await openFolderObjects({ dir, clock: systemClock, log });
const kinds = createTranscodeKinds({ objects, log });
const slots = Object.fromEntries(kinds.map((kind) => [kind.queueClass, 1]));
await createWorkerRunner({ url, kinds, slots, workDir, log });
process.stdout.write('ready\n');
