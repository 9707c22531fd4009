import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';

/** Where in S3 the objects are. */
export interface S3Location {
  readonly bucket: string;
  /** Put before every key: empty, or ends with `/`. */
  readonly prefix: string;
  /** `https://host[:port]` of a server that is not AWS's; undefined = AWS of the region. */
  readonly endpoint: string | undefined;
  /** Undefined = the region of the AWS environment or profile. */
  readonly region: string | undefined;
  /** `endpoint/bucket/key` in place of `bucket.endpoint/key`. */
  readonly pathStyle: boolean;
}

const bucketName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const regionName = /^[a-z0-9-]{1,40}$/;
const parameters = ['endpoint', 'region', 'pathStyle'];
const maxPrefixBytes = 400;

/**
 * Reads `s3://bucket/prefix?endpoint=https://host&region=eu-west-1&pathStyle=true`. Without `pathStyle`, servers named
 * by `endpoint` are asked path-style and AWS by host name. Credentials never stand in it: they come from AWS_ACCESS_KEY_ID
 * and the other usual places of the SDK. Throws OBJECTS_URL_INVALID (INVALID_ARGUMENT), which never repeats the URL.
 */
export function parseS3Url(text: string): S3Location {
  const url = URL.parse(text);
  if (url?.protocol !== 's3:') throw objectsUrlInvalid('expected s3://bucket/prefix');
  if (url.username !== '' || url.password !== '') {
    throw objectsUrlInvalid('credentials do not belong into the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  }
  if (url.port !== '' || url.hash !== '') throw objectsUrlInvalid('a port or fragment has no meaning; see `endpoint`');
  if (!bucketName.test(url.host)) throw objectsUrlInvalid('the bucket name must be 3 to 63 of a-z, 0-9, "." and "-"');
  const strange = [...url.searchParams.keys()].filter((name) => !parameters.includes(name));
  if (strange.length > 0) throw objectsUrlInvalid(`unknown parameter; there are ${parameters.join(', ')}`);
  const region = url.searchParams.get('region') || undefined;
  if (region !== undefined && !regionName.test(region)) throw objectsUrlInvalid('region has other characters');
  const endpoint = readEndpoint(url.searchParams.get('endpoint') || undefined);
  const pathStyle = url.searchParams.get('pathStyle') ?? String(endpoint !== undefined);
  if (pathStyle !== 'true' && pathStyle !== 'false') throw objectsUrlInvalid('pathStyle must be true or false');
  return { bucket: url.host, prefix: readPrefix(url.pathname), endpoint, region, pathStyle: pathStyle === 'true' };
}

function readEndpoint(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url === null || !['https:', 'http:'].includes(url.protocol)) {
    throw objectsUrlInvalid('endpoint must be https://host[:port] or http://host[:port]');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || url.pathname !== '/') {
    throw objectsUrlInvalid('endpoint must have no path, query or credentials');
  }
  return url.origin;
}

function readPrefix(pathname: string): string {
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    throw objectsUrlInvalid('the prefix has a bad %-escape');
  }
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw objectsUrlInvalid('the prefix must have no "." or ".." segments');
  }
  const prefix = segments.map((segment) => `${segment}/`).join('');
  // S3 takes keys of 1,024 bytes; an object key may have 512.
  if (Buffer.byteLength(prefix) > maxPrefixBytes) throw objectsUrlInvalid(`the prefix is over ${maxPrefixBytes} bytes`);
  return prefix;
}

/** INVALID_ARGUMENT: SHOWRUNNER_OBJECTS_URL cannot be read. */
export function objectsUrlInvalid(fault: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'OBJECTS_URL_INVALID',
    message: `SHOWRUNNER_OBJECTS_URL: ${fault}`,
  });
}
