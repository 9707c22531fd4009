import { type Clock, systemClock } from '../../server/core/clock.ts';
import { type Logger, silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { openS3Objects, type S3ObjectsOptions } from '../../server/stores/objects/s3-objects.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { credentials } from './s3-server.ts';

export interface S3Fixture {
  readonly store: ObjectStore;
  /** The store's local folder. */
  readonly dir: TempDir;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface S3FixtureOptions extends Partial<Pick<S3ObjectsOptions, 'partBytes' | 'maxCopyBytes' | 'retries'>> {
  readonly endpoint: string;
  readonly bucket: string;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Default `titles of ü/`: what has to be escaped in URLs. */
  readonly prefix?: string;
}

/** Pauses of a few ms, so that repeats cost a test no time. */
const hasty = { baseMs: 4, mostMs: 8 };

/** An S3 store with a local folder of its own, both gone when disposed. */
export async function openS3Fixture(options: S3FixtureOptions): Promise<S3Fixture> {
  const {
    endpoint,
    bucket,
    prefix = 'titles of ü/',
    clock = systemClock,
    log = silentLogger,
    retries,
    ...more
  } = options;
  const dir = await createTempDir();
  const location = { bucket, prefix, endpoint, region: undefined, pathStyle: true };
  const random = createSeededRandom(7);
  const opening = openS3Objects({
    location,
    dir: dir.path,
    clock,
    random,
    log,
    retries: { ...hasty, ...retries },
    ...more,
  });
  const store = await opening.catch(async (error) => {
    await dir[Symbol.asyncDispose]();
    throw error;
  });
  return {
    store,
    dir,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_EC2_METADATA_DISABLED', 'AWS_PROFILE'] as const;

/** Sets the AWS environment of this process to the test servers' key, or to none; gives what puts the old one back. */
export function setAwsEnvironment(isKnown = true): () => void {
  const old = names.map((name) => [name, process.env[name]] as const);
  const { accessKeyId, secretAccessKey } = credentials;
  for (const name of names) delete process.env[name];
  const known = isKnown ? { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } : {};
  Object.assign(process.env, known, { AWS_EC2_METADATA_DISABLED: 'true' });
  return () => {
    for (const [name, value] of old) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
