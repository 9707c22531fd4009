import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Job, Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createSeededRandom, type Random } from '../../server/core/random.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { type OpenedRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { findProcesses, kill } from './chaos-processes.ts';
import { type ChaosClient, chaosNotebook, chaosNotebookKey, chaosWorkflow, submitRound } from './chaos-work.ts';

/** What is killed: `runner` is a worker that runs a notebook, `kernel` the notebook's kernel or one started ahead. */
const targets = ['worker', 'server', 'redis', 'runner', 'kernel'] as const;
type Target = (typeof targets)[number];

export interface ChaosOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Told of each round. */
  readonly onRound?: (round: number, killed: string) => void;
}

export interface ChaosResult {
  readonly jobs: number;
  readonly kills: Readonly<Record<Target, number>>;
  /** Attempts beyond the first one of each job. */
  readonly retries: number;
  /** What must be empty: names of jobs, or of processes. */
  readonly lost: readonly string[];
  readonly unfinished: readonly string[];
  readonly endedTwice: readonly string[];
  readonly publishedTwice: readonly string[];
  readonly wrong: readonly string[];
  readonly orphans: readonly string[];
  readonly tookMs: number;
}

/** The last argument of the programs that jobs start: they are found by it. */
const marker = '86399.0731';
const settleMs = 120_000;
/** Of 50 ms and more each. */
const maxTries = 1_200;
/** Of 10 ms and more each. */
const maxLooks = 6_000;

interface ChaosServer {
  readonly process: ChildProcess;
  readonly client: ChaosClient;
  pids(): readonly number[];
}

/**
 * Kills workers, the server and Redis at seeded moments while jobs, parts and workflows run, then looks whether any was
 * lost, left, ended twice or published twice, and whether a process was left behind.
 */
export async function runChaos({ rounds, seed, onRound = () => {} }: ChaosOptions): Promise<ChaosResult> {
  const startedAt = performance.now();
  const random = createSeededRandom(seed);
  const dir = await mkdtemp(join(tmpdir(), 'showrunner-chaos-'));
  const redis = await openRedis({ dir: join(dir, 'redis'), log: silentLogger });
  const kills = { worker: 0, server: 0, redis: 0, runner: 0, kernel: 0 };
  const names = new Map<string, string>();
  await storeNotebook(dir);
  let server = await startServer(dir, redis.url);
  try {
    await retrying(() => server.client.createWorkflow({ workflow: chaosWorkflow(marker) }));
    for (let round = 0; round < rounds; round++) {
      const submitting = submitRound({ round, random, marker, call: (work) => retrying(() => work(server.client)) });
      await systemClock.sleep(random.next() * 350);
      const target = pick(random, targets);
      onRound(round, target);
      if (target === 'server') server = await replaceServer(server, dir, redis.url);
      else await killOne(target, { server, redis, dir, random });
      kills[target]++;
      for (const [id, name] of await submitting) names.set(id, name);
      if (target === 'redis') await untilBack(redis);
    }
    const judged = await judge(server.client, [...names.values()], join(dir, 'objects'));
    const workers = server.pids();
    await stop(server);
    const orphans = await findOrphans(dir, workers);
    return { ...judged, kills, jobs: names.size, orphans, tookMs: performance.now() - startedAt };
  } finally {
    server.client.close();
    server.process.kill('SIGKILL');
    await redis.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function startServer(dir: string, redisUrl: string): Promise<ChaosServer> {
  const script = join(import.meta.dirname, 'chaos-server.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, dir, redisUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  let pids: readonly number[] = [];
  const address = Promise.withResolvers<string>();
  lines.on('line', (line) => {
    const told = JSON.parse(line) as { address?: string; pids?: readonly number[] };
    if (told.address !== undefined) address.resolve(told.address);
    pids = told.pids ?? pids;
  });
  child.once('exit', (code) => address.reject(new Error(`the server of the chaos run ended with ${code}`)));
  const client = createRpcClient(JobService, { address: await address.promise });
  return { process: child, client, pids: () => pids };
}

async function replaceServer(server: ChaosServer, dir: string, redisUrl: string): Promise<ChaosServer> {
  const exited = once(server.process, 'exit');
  server.process.kill('SIGKILL');
  await exited;
  server.client.close();
  return startServer(dir, redisUrl);
}

interface Victims {
  readonly server: ChaosServer;
  readonly redis: OpenedRedis;
  readonly dir: string;
  readonly random: Random;
}

/** Waits for a process of the sort where there is none at the moment. */
async function killOne(target: Exclude<Target, 'server'>, victims: Victims): Promise<void> {
  const { server, redis, dir, random } = victims;
  const find = async (): Promise<readonly number[]> => {
    if (target === 'redis') return [redis.pid() ?? 0].filter(Boolean);
    if (target === 'worker') return server.pids();
    if (target === 'kernel') return findProcesses((command) => isKernel(command, dir)).map(({ pid }) => pid);
    return (await pidsOfRunners(server.client)).filter((pid) => server.pids().includes(pid));
  };
  const which = random.next();
  for (let tries = 0; tries < maxLooks; tries++) {
    const pids = await find();
    if (kill(pids[Math.floor(which * pids.length)])) return;
    await systemClock.sleep(10);
  }
  throw new Error(`no ${target} to kill`);
}

/** Processes of workers that run a notebook: workers are named `host/pid/class#slot`. */
async function pidsOfRunners(client: ChaosClient): Promise<number[]> {
  const { jobs } = await retrying(() =>
    client.listJobs({ kinds: ['notebook'], states: [Job_State.RUNNING], pageSize: 100 }),
  );
  return jobs.map(({ attempts }) => Number(attempts.at(-1)?.worker.split('/')[1]));
}

function isKernel(command: string, dir: string): boolean {
  return command.includes('jupyter') && command.includes(dir);
}

async function storeNotebook(dir: string): Promise<void> {
  const objects = await openFolderObjects({ dir: join(dir, 'objects'), clock: systemClock, log: silentLogger });
  await objects.put(chaosNotebookKey, Buffer.from(JSON.stringify(chaosNotebook())));
  await objects.close();
}

async function untilBack(redis: OpenedRedis): Promise<void> {
  const before = redis.pid();
  for (let i = 0; i < 400 && (redis.pid() === undefined || redis.pid() === before); i++) await systemClock.sleep(25);
}

/** Calls until it is answered: a killed server is back soon, and request ids make repetitions harmless. */
async function retrying<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (tries > maxTries) throw error;
      await systemClock.sleep(50);
    }
  }
}

function pick<T>(random: Random, from: readonly [T, ...T[]]): T {
  return from[Math.floor(random.next() * from.length)] ?? from[0];
}

async function judge(client: ChaosClient, names: readonly string[], objectsDir: string) {
  const lost: string[] = [];
  const unfinished: string[] = [];
  const endedTwice: string[] = [];
  const wrong: string[] = [];
  let retries = 0;
  const deadline = performance.now() + settleMs;
  for (const name of names) {
    const ends: Job_State[] = [];
    try {
      const deadlineMs = Math.max(1_000, deadline - performance.now());
      for await (const { event } of client.watchJob({ name }, { deadlineMs })) {
        if (event?.event.case === 'state' && event.event.value > Job_State.RUNNING) ends.push(event.event.value);
      }
    } catch {
      // Told below by what the job says of itself.
    }
    const job = await client.getJob({ name }).then(
      (answer) => answer.job,
      () => undefined,
    );
    if (job === undefined) lost.push(name);
    else if (job.state <= Job_State.RUNNING) unfinished.push(`${name} ${job.kind}`);
    else if (job.state !== Job_State.SUCCEEDED)
      wrong.push(`${name} ${job.kind} ${job.error?.reason}: ${job.error?.message}`);
    if (ends.length > 1) endedTwice.push(name);
    if (job?.state === Job_State.SUCCEEDED) wrong.push(...findWrong(job, objectsDir));
    retries += Math.max(0, (job?.attempts.length ?? 1) - 1);
    if (job?.kind === 'workflow') wrong.push(...(await doubledNodes(client, name)));
  }
  for (const state of [Job_State.QUEUED, Job_State.RUNNING]) {
    const left = await client.listJobs({ states: [state], includeChildren: true, pageSize: 500 });
    unfinished.push(...left.jobs.map((job) => `${job.name} ${job.kind}`));
  }
  const twice = join(objectsDir, 'published-twice');
  return { lost, unfinished, endedTwice, wrong, retries, publishedTwice: existsSync(twice) ? readdirSync(twice) : [] };
}

/** A success that was not published, or whose notebook does not tell it. */
function findWrong({ name, kind, result }: Job, objectsDir: string): string[] {
  if (kind !== 'workflow' && !existsSync(join(objectsDir, 'published', name.slice('jobs/'.length)))) {
    return [`${name} ${kind} is not published`];
  }
  if (kind !== 'notebook') return [];
  const { scraps, outputKey, status } = result as { scraps: { twice?: number }; outputKey: string; status: string };
  const output = JSON.parse(readFileSync(join(objectsDir, outputKey), 'utf8')) as { cells: readonly object[] };
  // One cell is added by the parameters.
  const isRight = scraps.twice !== undefined && status === 'succeeded' && output.cells.length === 4;
  return isRight ? [] : [`${name} notebook ${status} ${JSON.stringify(scraps)} with ${output.cells.length} cells`];
}

/** Jobs of nodes of a run that there are too many of, or too few. */
async function doubledNodes(client: ChaosClient, name: string): Promise<string[]> {
  const { jobs } = await client.listJobs({ parent: name, includeChildren: true, pageSize: 500 });
  const counts = Object.fromEntries(
    [...Map.groupBy(jobs, ({ node }) => node)].map(([node, all]) => [node, all.length]),
  );
  const expected = { first: 1, each: 4, last: 1 };
  return JSON.stringify(Object.entries(counts).toSorted()) === JSON.stringify(Object.entries(expected).toSorted())
    ? []
    : [`${name} has nodes ${JSON.stringify(counts)}`];
}

async function stop(server: ChaosServer): Promise<void> {
  const exited = once(server.process, 'exit');
  server.process.kill('SIGTERM');
  await exited;
}

/** Programs of jobs, kernels and workers that are still there a while after all has ended. */
async function findOrphans(dir: string, workers: readonly number[]): Promise<string[]> {
  const find = () =>
    findProcesses(
      (command, pid) =>
        command === `sleep ${marker}` ||
        isKernel(command, dir) ||
        (workers.includes(pid) && command.includes('chaos-worker')),
    ).map(({ pid, command }) => `${pid} ${command}`);
  for (let i = 0; i < 100 && find().length > 0; i++) await systemClock.sleep(100);
  return find();
}
