/**
 * Writes biome.imports.json, the lint rules that hold the import table of ARCHITECTURE.md, from the table below.
 * `--check` writes nothing and exits 1 when the file is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A folder whose files may import of the project what is named here and what lies in the folder, and nothing else. */
interface Room {
  readonly folder: string;
  /** Folders, or single files. */
  readonly may: readonly string[];
}

const base = ['server/core', 'proto/gen'];
const areas = [
  'cache',
  'events',
  'filters',
  'jobs',
  'manifest',
  'notebooks',
  'notifications',
  'origin',
  'ranking',
  'telemetry',
  'transcode',
].map((name) => `server/${name}`);
/** What single areas may import besides. */
const ofArea: Readonly<Record<string, readonly string[]>> = {
  'server/jobs': ['workers/queue'],
  'server/notebooks': ['notebooks-runner'],
};
const ofKind = [...base, 'server/stores', 'workers/queue/job-kind.ts'];
const app = [...base, 'server/stores', 'server/rpc', 'server/web', ...areas, 'plugins/engine', 'workers'];

/** Later rooms win over earlier ones that hold them. */
const rooms: readonly Room[] = [
  { folder: 'server/core', may: ['proto/gen'] },
  { folder: 'server/core/telemetry', may: base },
  { folder: 'server/stores', may: base },
  { folder: 'server/stores/objects', may: [...base, 'server/stores'] },
  { folder: 'server/stores/records', may: [...base, 'server/stores'] },
  { folder: 'server/rpc', may: base },
  { folder: 'server/web', may: [...base, 'server/rpc'] },
  ...areas.map((folder) => ({
    folder,
    may: [...base, 'server/stores', 'server/rpc', ...(ofArea[folder] ?? [])],
  })),
  { folder: 'server/app', may: app },
  { folder: 'server/cli', may: [...app, 'server/app', 'notebooks-runner', 'bench/run-benches.ts'] },
  { folder: 'plugins/engine', may: base },
  { folder: 'plugins/filters/*', may: [...base, 'plugins/engine/filter.ts', 'plugins/origins'] },
  { folder: 'plugins/origins', may: [...base, 'plugins/engine/filter.ts'] },
  { folder: 'workers', may: [...base, 'server/stores', 'notebooks-runner'] },
  { folder: 'workers/queue', may: base },
  { folder: 'workers/redis', may: base },
  { folder: 'workers/transcode', may: ofKind },
  { folder: 'workers/train', may: [...ofKind, 'server/ranking'] },
  { folder: 'workers/notebook', may: [...ofKind, 'notebooks-runner'] },
  { folder: 'notebooks-runner', may: base },
];

/** Packages that one room alone may import. */
const owners: Readonly<Record<string, string>> = {
  '@grpc/grpc-js': 'server/rpc',
  'grpc-health-check': 'server/rpc',
  bullmq: 'workers/queue',
  'bullmq-otel': 'workers/queue',
  ioredis: 'workers/queue',
  'node:sqlite': 'server/stores/records',
  '@aws-sdk/client-s3': 'server/stores/objects',
  '@opentelemetry/sdk-node': 'server/core/telemetry',
  '@opentelemetry/sdk-trace': 'server/core/telemetry',
  '@opentelemetry/instrumentation-grpc': 'server/core/telemetry',
  '@opentelemetry/exporter-trace-otlp-grpc': 'server/core/telemetry',
  '@opentelemetry/exporter-trace-otlp-proto': 'server/core/telemetry',
  zeromq: 'notebooks-runner',
  'markdown-it': 'notebooks-runner',
  'sanitize-html': 'notebooks-runner',
  'cron-parser': 'server/jobs',
  'es-module-lexer': 'plugins/engine',
  jose: 'plugins/filters/*',
  yaml: 'server/cli',
};

/** How many folders below their room files lie at the most. Deeper ones are refused what they import of their own room. */
const mostLevels = 2;

/** How a file `levels` folders below its room names a path of the project; a folder with all in it. */
function specifier(folder: string, levels: number, path: string): string {
  const from = folder.split('/');
  const to = path.split('/');
  const apart = to.findIndex((part, index) => part !== from[index]);
  const shared = apart < 0 ? to.length : apart;
  const parts = [...to.slice(shared), ...(path.endsWith('.ts') ? [] : ['**'])];
  return `${'../'.repeat(from.length - shared + levels)}${parts.join('/')}`;
}

/** The rule of files that lie `levels` folders below their room. */
function override({ folder, may }: Room, levels: number): unknown {
  const foreign = Object.entries(owners).filter(([, owner]) => owner !== folder);
  const paths = Object.fromEntries(foreign.map(([name, owner]) => [name, `${name} is used in ${owner} only`]));
  const [around, beside] = [
    may.filter((path) => folder.startsWith(`${path}/`)),
    may.filter((path) => !folder.startsWith(`${path}/`)),
  ];
  // What climbs out of the room is refused, then what may be imported let pass. In a folder around the room, that is
  // what climbs no further.
  const group = [
    `${'../'.repeat(levels + 1)}**`,
    ...around.flatMap((path) => [`!${specifier(folder, levels, path)}`, `../${specifier(folder, levels, path)}`]),
    ...beside.map((path) => `!${specifier(folder, levels, path)}`),
  ];
  const message = `${folder} imports ${may.join(', ')} and nothing else of the project`;
  const noRestrictedImports = { level: 'error', options: { paths, patterns: [{ group, message }] } };
  return {
    includes: [`${folder}${'/*'.repeat(levels)}/${levels === mostLevels ? '**' : '*'}`],
    linter: { rules: { style: { noRestrictedImports } } },
  };
}

const path = join(import.meta.dirname, '..', 'biome.imports.json');
const overrides = rooms.flatMap((room) =>
  Array.from({ length: mostLevels + 1 }, (_, levels) => override(room, levels)),
);
const fresh = `{"overrides":[\n${overrides.map((entry) => JSON.stringify(entry)).join(',\n')}\n]}\n`;
if (!process.argv.includes('--check')) writeFileSync(path, fresh);
else if (fresh !== readFileSync(path, 'utf8')) {
  process.stderr.write('biome.imports.json is stale, run "npm run imports"\n');
  process.exitCode = 1;
}
