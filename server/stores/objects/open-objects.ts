import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { systemRandom } from '../../core/random.ts';
import { openFolderObjects } from './folder-objects.ts';
import type { ObjectStore } from './object-store.ts';
import { objectsUrlInvalid, parseS3Url } from './s3-url.ts';

/** Where objects are kept, by the settings. */
export interface OpenObjectsOptions {
  /** SHOWRUNNER_OBJECTS_URL: `s3://…` (see `parseS3Url`) or `file:///folder`; undefined = `<stateDir>/objects`. */
  readonly url: string | undefined;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Opens the object store that the settings name. Throws OBJECTS_URL_INVALID and the errors of the backend's `open…`. */
export async function openObjects({ url, stateDir, clock, log }: OpenObjectsOptions): Promise<ObjectStore> {
  if (url === undefined) return openFolderObjects({ dir: join(stateDir, 'objects'), clock, log });
  if (url.startsWith('file:')) return openFolderObjects({ dir: folderOf(url), clock, log });
  const location = parseS3Url(url);
  // Only now: the SDK costs a fifth of a second to load.
  const { openS3Objects } = await import('./s3-objects.ts');
  const { bucket, prefix, endpoint = 'AWS S3' } = location;
  log.info('objects are kept in S3', { bucket, prefix, endpoint });
  return openS3Objects({ location, dir: join(stateDir, 's3'), clock, random: systemRandom, log });
}

function folderOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw objectsUrlInvalid('expected file:///folder with an absolute path');
  }
}
