import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createFilterEngine } from '../../plugins/engine/engine.ts';
import { createJobKinds } from '../../workers/kinds.ts';
import { createJobQueue } from '../../workers/queue/job-queue.ts';
import { createRelayReader } from '../../workers/queue/relay.ts';
import { createSharedRates } from '../../workers/queue/shared-rates.ts';
import { openRedis } from '../../workers/redis/private-redis.ts';
import { createCache } from '../cache/create-cache.ts';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config/settings.ts';
import { createLifecycle, type Lifecycle } from '../core/lifecycle.ts';
import type { Logger } from '../core/log.ts';
import { systemRandom } from '../core/random.ts';
import type { FinishedSpan } from '../core/telemetry/finished-span.ts';
import { createRecentTraces } from '../core/telemetry/recent-traces.ts';
import { onFinishedSpan } from '../core/telemetry/span-feed.ts';
import { createEvents } from '../events/create-events.ts';
import { createFilterAdminService } from '../filters/service.ts';
import { createJobs } from '../jobs/create-jobs.ts';
import { createJobService } from '../jobs/service.ts';
import { createManifest } from '../manifest/create-manifest.ts';
import { createNotebookPages } from '../notebooks/notebook-pages.ts';
import { createNotifications } from '../notifications/create-notifications.ts';
import { startHttpOrigin } from '../origin/http-origin.ts';
import { createRanking } from '../ranking/ranking.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import { createOrigins } from '../rpc/raw-client.ts';
import { startRpcServer } from '../rpc/server.ts';
import { openRecordEventLog } from '../stores/events/record-event-log.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { openObjects } from '../stores/objects/open-objects.ts';
import { openSqliteRecords } from '../stores/records/sqlite-records.ts';
import { lockStateDir } from '../stores/state-lock.ts';
import { openStateOwner } from '../stores/state-owner.ts';
import { createTraceService } from '../telemetry/service.ts';
import { cleanUploads } from '../transcode/clean-uploads.ts';
import { createTranscodeService } from '../transcode/service.ts';
import { createUploads } from '../transcode/uploads.ts';
import { announceJobs } from './announce-jobs.ts';
import { openLocalApiKey } from './api-key.ts';
import { openCacheStore } from './cache-store.ts';
import { stateDirUnusable } from './errors.ts';
import { registerEventRules } from './event-rules.ts';
import { notebookService } from './notebook-service.ts';
import { describeOrigin } from './origin-appliance.ts';
import { publishResults } from './publish-results.ts';
import { readSettingsFiles } from './settings-files.ts';
import { admitTranscodes, transcodeJobs } from './transcode-jobs.ts';
import { openWebListener } from './web-listener.ts';
import { registerWorkflowSignals } from './workflow-signals.ts';

/** The running server. */
export interface App {
  /** `host:port` that is really bound. */
  readonly address: string;
  /** The same of the gRPC-web listener; undefined when it is off. */
  readonly webAddress: string | undefined;
  /** Key of the local administrator, also in the state folder's `api-key`. */
  readonly apiKey: string;
  readonly redisUrl: string;
  readonly objects: ObjectStore;
  /** Reports NOT_SERVING, so that balancers send new calls elsewhere while workers end their jobs. */
  announceClose(): void;
  /** Drains calls for `timeoutMs` (default DRAIN_TIMEOUT_MS) and releases everything in reverse order. Idempotent. */
  close(timeoutMs?: number): Promise<void>;
}

/** The process environment, for what programs are found by. */
export type Environment = Readonly<Record<string, string | undefined>>;

const shippedFilters = join(import.meta.dirname, '../../plugins/filters');
/** A start goes on without a Redis that is away for longer: jobs are stored, and queued when it is back. */
const redisWaitMs = 5_000;
const requiredFilters = ['showrunner.auth', 'showrunner.access-log', 'showrunner.rate-limit'];

/**
 * The composition root: opens the stores, builds every area and wires them, starts the server. What was opened is
 * released again when a later step fails. Throws the errors of its parts, e.g. CONFIG_INVALID, STATE_DIR_IN_USE, ADDRESS_IN_USE,
 * REDIS_MISSING, REDIS_IN_USE, FILTER_LOAD_FAILED.
 */
export async function buildApp(config: Config, log: Logger, env: Environment): Promise<App> {
  const lifecycle = createLifecycle({ log, stepTimeoutMs: config.DRAIN_TIMEOUT_MS + 15_000 });
  try {
    return await build(config, log, env, lifecycle);
  } catch (error) {
    await lifecycle.close().catch(() => {});
    // What the system refuses at the start lies in the state folder: all else that is opened has errors of its own.
    throw error instanceof Error && 'syscall' in error ? stateDirUnusable(config.STATE_DIR, error) : error;
  }
}

async function openStores(config: Config, log: Logger, lifecycle: Lifecycle) {
  const clock = systemClock;
  const dir = config.STATE_DIR;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockStateDir(dir);
  lifecycle.defer('state folder', () => lock.release());
  const records = await openSqliteRecords({ path: join(dir, 'records.db'), clock, log });
  lifecycle.defer('records', () => records.close());
  const objects = await openObjects({ url: config.OBJECTS_URL, stateDir: dir, clock, log });
  lifecycle.defer('objects', () => objects.close());
  const eventLog = await openRecordEventLog({ records, clock });
  lifecycle.defer('event log', () => eventLog.close());
  const cacheStore = openCacheStore(config, clock, log);
  lifecycle.defer('cache', () => cacheStore.close());
  const redis = await openRedis({ url: config.REDIS_URL, dir: join(dir, 'redis'), log });
  lifecycle.defer('redis', () => redis.close());
  return { records, objects, eventLog, cacheStore, redis };
}

function keepTraces(config: Config, redisUrl: string, log: Logger, lifecycle: Lifecycle) {
  const traces = createRecentTraces({ maxTraces: config.TRACES_KEPT });
  const stopFeed = onFinishedSpan((span) => traces.add(span));
  lifecycle.defer('span feed', stopFeed);
  const relay = createRelayReader({ url: redisUrl, clock: systemClock, log }, (spans) => {
    for (const span of spans) traces.add(JSON.parse(span) as FinishedSpan);
  });
  lifecycle.defer('span relay', () => relay.close());
  return traces;
}

async function buildAreas(config: Config, log: Logger, env: Environment, lifecycle: Lifecycle) {
  const clock = systemClock;
  const stores = await openStores(config, log, lifecycle);
  const { records, objects, eventLog, cacheStore, redis } = stores;
  const traces = keepTraces(config, redis.url, log, lifecycle);
  // A private Redis lies in the state folder: nobody else knows it.
  const owner = config.REDIS_URL === undefined ? {} : { owner: openStateOwner(config.STATE_DIR) };
  const queue = createJobQueue({ url: redis.url, clock, log, ...owner });
  lifecycle.defer('job queue', () => queue.close());
  await queue.ready(redisWaitMs);
  const kinds = createJobKinds({ config, objects, log, env });
  const jobs = createJobs({ records, objects, queue, kinds, webhookOrigins: config.JOB_WEBHOOK_ORIGINS, clock, log });
  lifecycle.defer('jobs', () => jobs.close());
  const manifest = createManifest({ records, objects, clock });
  const ranking = await createRanking({
    records,
    objects,
    clock,
    log,
    trainer: {
      start: async (params, options) => {
        const spec = { kind: 'train-ranker', params: { ...params }, labels: {}, priority: 0 };
        return `jobs/${(await jobs.create(spec, options)).job.id}`;
      },
    },
  });
  const notifications = createNotifications({ log: eventLog, records, clock, random: systemRandom, logger: log });
  const events = createEvents({ log: eventLog, records, clock, logger: log });
  registerEventRules(events, ranking, notifications);
  registerWorkflowSignals(events, jobs);
  announceJobs(jobs, events);
  admitTranscodes(jobs, manifest);
  publishResults({ jobs, manifest, ranking, events });
  const cache = createCache({ store: cacheStore, maxBulkBytes: config.MAX_MESSAGE_BYTES });
  return { ...stores, traces, jobs, manifest, ranking, notifications, events, cache };
}

async function build(config: Config, log: Logger, env: Environment, lifecycle: Lifecycle): Promise<App> {
  const clock = systemClock;
  const files = readSettingsFiles(config);
  const areas = await buildAreas(config, log, env, lifecycle);
  const { jobs, manifest, ranking, notifications, events, cache, traces, objects, redis } = areas;
  const apiKey = openLocalApiKey(config.STATE_DIR);
  const origins = createOrigins({ tls: files.originTls, maxMessageBytes: config.MAX_MESSAGE_BYTES });
  lifecycle.defer('origin connections', () => origins.close());
  const sharedRates = createSharedRates({ url: redis.url, log });
  lifecycle.defer('shared rates', () => sharedRates.close());
  const filters = await createFilterEngine({
    dirs: [shippedFilters, ...(config.FILTERS_DIR === undefined ? [] : [config.FILTERS_DIR])],
    trustedDirs: [shippedFilters],
    config: files.filters(apiKey),
    required: requiredFilters,
    capabilities: { origins, sharedRates },
    stateDir: join(config.STATE_DIR, 'filters'),
    signersFile: config.FILTERS_SIGNERS,
    drainDeadlineMs: config.FILTERS_DRAIN_DEADLINE_MS,
    isolated: config.FILTERS_ISOLATED.split(',').flatMap((glob) => glob.trim() || []),
    log,
    clock,
    random: systemRandom,
  });
  lifecycle.defer('filters', () => filters.close());
  const pages = config.NOTEBOOK_PAGES ? createNotebookPages(objects) : undefined;
  const origin = await startHttpOrigin({ address: config.ORIGIN_ADDRESS, objects, log, pages });
  lifecycle.defer('origin', () => origin.close());
  await manifest.appliances.put(describeOrigin(origin.baseUrl));
  // For a start that fails after this: rules that go on would keep the process. Closing twice is fine.
  lifecycle.defer('rules of events', () => events.close());
  await events.start();
  await jobs.start();
  const uploads = createUploads({ objects, clock, maxBytes: config.UPLOAD_MAX_BYTES });
  const cleaning = cleanUploads({ uploads, clock, log });
  lifecycle.defer('cleaning of uploads', () => cleaning.close());
  const services: readonly ServiceRegistration[] = [
    cache.service,
    events.service,
    createFilterAdminService(filters.admin, () => services.map(({ desc }) => desc)),
    createJobService(jobs),
    manifest.service,
    notebookService(config, { jobs, objects, clock }),
    notifications.service,
    ranking.service,
    createTraceService(traces),
    createTranscodeService({
      uploads,
      objects,
      jobs: transcodeJobs(jobs),
      clock,
    }),
  ];
  const web = openWebListener(config, files.serverTls, log, lifecycle);
  const server = await startRpcServer({
    address: config.ADDRESS,
    services,
    pipeline: filters,
    log,
    clock,
    maxMessageBytes: config.MAX_MESSAGE_BYTES,
    maxMetadataBytes: config.MAX_METADATA_BYTES,
    tls: files.serverTls,
    drainTimeoutMs: config.DRAIN_TIMEOUT_MS,
    reflection: config.REFLECTION,
    health: true,
  });
  let drainTimeoutMs = config.DRAIN_TIMEOUT_MS;
  lifecycle.defer('server', () => server.close(drainTimeoutMs));
  // Streams end before the server drains, which would otherwise wait for them.
  lifecycle.defer('notifications', () => notifications.close());
  lifecycle.defer('events', () => events.close());
  lifecycle.defer('filter watches', () => filters.admin.endWatches());
  const webAddress = await web.start(server.address);
  const close = (timeoutMs = drainTimeoutMs) => {
    drainTimeoutMs = timeoutMs;
    return lifecycle.close();
  };
  const { address, announceClose } = server;
  return { address, webAddress, apiKey, redisUrl: redis.url, objects, announceClose, close };
}
