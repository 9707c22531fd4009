import {
  counts,
  flag,
  hostPort,
  integer,
  memcachedUrl,
  oneOf,
  optionalHostPort,
  optionalText,
  origins,
  pageOrigins,
  redisUrl,
  setting,
  text,
  urlOf,
} from './setting.ts';

/**
 * Every setting of showrunner. Read once, by the command that runs, from the environment as SHOWRUNNER_<NAME>, or from
 * the file named by SHOWRUNNER_CONFIG (NAME=value lines; the environment wins). README's list is made from it.
 */
export const settings = {
  ADDRESS: setting(hostPort, '127.0.0.1:7400', 'Where the gRPC server listens; port 0 takes a free one.'),
  ORIGIN_ADDRESS: setting(
    hostPort,
    '127.0.0.1:7401',
    'Where the HTTP origin serves published title files; port 0 takes a free one.',
  ),
  WEB_ADDRESS: setting(
    optionalHostPort,
    undefined,
    'Where browsers call by gRPC-web over HTTP/1.1, e.g. `127.0.0.1:7402`; port 0 takes a free one; empty = nowhere.',
  ),
  WEB_ORIGINS: setting(
    pageOrigins,
    [],
    'Comma-separated origins whose pages may call by gRPC-web, e.g. `https://app.example.com`, or `*` for all; empty = none.',
  ),
  STATE_DIR: setting(text, '.showrunner', 'Folder of records, objects, Redis data; one server at a time may own it.'),
  OBJECTS_URL: setting(
    urlOf('s3:', 'file:'),
    undefined,
    'Where objects are kept: `s3://bucket/prefix?endpoint=…&region=…`, or `file:///folder`; empty = under STATE_DIR.',
  ),
  LOG_LEVEL: setting(oneOf('debug', 'info', 'warn', 'error'), 'info', 'Least level of log lines on stderr.'),
  WORKERS: setting(
    integer(0, 64),
    2,
    'Worker processes that `serve` starts; 0 = none, start them with `showrunner worker`.',
  ),
  WORKER_SLOTS: setting(
    counts,
    {},
    'Jobs that one worker process runs at once, per queue class, e.g. `encode=1,transcode=4`; 1 where not named, 0 = none.',
  ),
  REDIS_URL: setting(
    redisUrl,
    undefined,
    'Redis or Valkey for the jobs of this server alone; `redis://host/1` names a database of it; empty = start a private one.',
  ),
  MEMCACHED_URL: setting(
    memcachedUrl,
    undefined,
    'memcached://host:port for the cache service; empty = in-process cache.',
  ),
  CACHE_MAX_BYTES: setting(
    integer(1_048_576, 1_099_511_627_776),
    67_108_864,
    'Bound of the in-process cache, in bytes.',
  ),
  FFMPEG: setting(
    optionalText,
    undefined,
    'Path of ffmpeg (5.0 or newer, libx264, aac); empty = PATH, then npm packages.',
  ),
  FFPROBE: setting(optionalText, undefined, 'Path of ffprobe; empty = beside ffmpeg, then PATH.'),
  DENO: setting(optionalText, undefined, 'Path of deno for the TypeScript notebook kernel; empty = the npm package.'),
  NOTEBOOK_KERNELS_AHEAD: setting(
    integer(0, 64),
    1,
    'Notebook kernels that each worker process keeps started ahead of runs, about 200 MB each; 0 = none.',
  ),
  NOTEBOOK_SECRETS: setting(
    text,
    '',
    'Comma-separated names of environment variables that notebook parameters may take by {"$secret": "NAME"}.',
  ),
  NOTEBOOK_PAGES: setting(
    flag,
    false,
    'Serve output notebooks as pages below /notebooks/ of the HTTP origin, to everybody who reaches it.',
  ),
  JOB_WEBHOOK_ORIGINS: setting(
    origins,
    [],
    'Comma-separated origins that webhooks of jobs may call, e.g. `https://hooks.example.com`; http on this machine only.',
  ),
  FILTERS_DIR: setting(
    optionalText,
    undefined,
    'Folder of additional filters, watched for changes; empty = shipped filters only.',
  ),
  FILTERS_CONFIG: setting(optionalText, undefined, 'JSON file: filter id → its configuration.'),
  FILTERS_SIGNERS: setting(
    optionalText,
    undefined,
    'PEM file of ed25519 public keys: filters that are staged must be signed by one of them; empty = no signatures.',
  ),
  FILTERS_ISOLATED: setting(
    text,
    '',
    'Comma-separated globs on ids of filters that run in a worker thread whatever they say, e.g. `acme.*`.',
  ),
  FILTERS_DRAIN_DEADLINE_MS: setting(
    integer(0, 604_800_000),
    0,
    'Calls that run on a replaced filter set for longer are ended, in ms; 0 = they may stay.',
  ),
  API_KEYS: setting(text, '', 'Comma-separated id:secret:scope+scope entries for the auth filter.', { secret: true }),
  JWT_JWKS: setting(
    optionalText,
    undefined,
    'Path or https URL of the JWKS that signs accepted JWTs; empty = no JWTs.',
  ),
  JWT_ISSUER: setting(optionalText, undefined, 'Required `iss` of JWTs.'),
  JWT_AUDIENCE: setting(optionalText, undefined, 'Required `aud` of JWTs.'),
  TLS_CERT: setting(optionalText, undefined, 'PEM file of the server certificate chain; with TLS_KEY turns TLS on.'),
  TLS_KEY: setting(optionalText, undefined, 'PEM file of the server key.'),
  TLS_CLIENT_CA: setting(optionalText, undefined, 'PEM file of the CA that signs client certificates; turns mTLS on.'),
  UPSTREAM_CA: setting(
    optionalText,
    undefined,
    'PEM file of the CA that signs the certificates of grpcs:// origins of the routing filter; empty = the CAs of Node.',
  ),
  MAX_MESSAGE_BYTES: setting(integer(1024, 268_435_456), 4_194_304, 'Largest message accepted or sent, in bytes.'),
  MAX_METADATA_BYTES: setting(integer(1024, 1_048_576), 16_384, 'Largest request metadata, in bytes.'),
  UPLOAD_MAX_BYTES: setting(
    integer(1, 1_099_511_627_776),
    68_719_476_736,
    'Largest source that TranscodeService takes by upload, in bytes.',
  ),
  DRAIN_TIMEOUT_MS: setting(
    integer(0, 600_000),
    10_000,
    'How long SIGTERM waits for jobs and calls in flight, together, in ms.',
  ),
  TRACES_KEPT: setting(integer(0, 100_000), 500, 'Recent traces kept in memory for TraceService.'),
  REFLECTION: setting(flag, true, 'Serve gRPC reflection v1 and v1alpha.'),
} as const;

/** Names of the settings, without SHOWRUNNER_. */
export type SettingName = keyof typeof settings;

/** The values of all settings, frozen. */
export type Config = {
  readonly [N in SettingName]: ReturnType<(typeof settings)[N]['read']> | (typeof settings)[N]['fallback'];
};
