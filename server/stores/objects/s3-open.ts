import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { Logger } from '../../core/log.ts';
import type { S3Caller } from './s3-caller.ts';
import { conditionalWritesMissing, s3StatusOf } from './s3-errors.ts';
import { listTargets } from './s3-head.ts';

/** An upload without an end is the rest of a killed process; after this time it is removed. */
const abandonedMs = 24 * 60 * 60 * 1000;
/** How long tidying may hold up the opening, in ms. */
const tidyingMs = 10_000;
/** No object key: those do not start with ".". */
const probeKey = '.showrunner/conditional-writes';

/**
 * Sees that the bucket can be listed and written, that the server honours `If-None-Match` (without it a commit record
 * could be published twice), and gives up uploads that were begun over a day ago and never ended.
 */
export async function checkBucket(caller: S3Caller, log: Logger): Promise<void> {
  // A list, not a HeadBucket: the answer to a HEAD has no body that says what is wrong.
  await listTargets(caller, caller.location.prefix, undefined, 1).next();
  // It is there from the second start on: one request.
  if ((await putProbe(caller)) && (await putProbe(caller))) throw conditionalWritesMissing(caller.location);
  await removeAbandoned(caller, log);
}

/** True when the server took the write. */
async function putProbe({ client, location, call, failureOf }: S3Caller): Promise<boolean> {
  const { bucket: Bucket, prefix } = location;
  const command = { Bucket, Key: prefix + probeKey, Body: Buffer.from('once'), ContentLength: 4, IfNoneMatch: '*' };
  try {
    await call((abortSignal) => client.send(new PutObjectCommand(command), { abortSignal }));
    return true;
  } catch (error) {
    // 409: a rival writes it at this moment.
    if (s3StatusOf(error) === 412 || s3StatusOf(error) === 409) return false;
    throw failureOf(error);
  }
}

async function removeAbandoned({ client, location, call, clock }: S3Caller, log: Logger): Promise<void> {
  const { bucket: Bucket, prefix } = location;
  const late = new AbortController();
  const cancel = clock.schedule(tidyingMs, () => late.abort(new Error('tidying took too long')));
  try {
    const { Uploads = [] } = await call(
      (abortSignal) => client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }), { abortSignal }),
      late.signal,
    );
    const old = Uploads.filter(({ Initiated }) => clock.now() - (Initiated?.getTime() ?? Infinity) > abandonedMs);
    for (const { Key, UploadId } of old) {
      const command = new AbortMultipartUploadCommand({ Bucket, Key, UploadId });
      await call((abortSignal) => client.send(command, { abortSignal }), late.signal);
    }
    if (old.length > 0) log.info('left-over uploads removed', { bucket: Bucket, removed: old.length });
  } catch (error) {
    // Tidying only; it needs a permission of its own that a deployment may withhold.
    log.info('left-over uploads were not looked for', { bucket: Bucket, error });
  } finally {
    cancel();
  }
}
