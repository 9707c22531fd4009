import { basename, extname } from 'node:path';
import { parseArgs } from 'node:util';
import type { JsonObject } from '@bufbuild/protobuf';
import { Job_State, type JobProgress } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { ManifestService } from '../../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import type { RungProgress, Transcode } from '../../../proto/gen/showrunner/transcode/v1/transcode_pb.ts';
import { TranscodeService } from '../../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import { systemClock } from '../../core/clock.ts';
import { Code } from '../../core/codes.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import type { RpcClient } from '../../rpc/client.ts';
import { type CallOptions, connectionHelp, connectionOptions, withConnection } from '../connection.ts';
import { createProgressBar, type ProgressOutput } from '../terminal/progress-bar.ts';
import { formatTable } from '../terminal/table.ts';
import { uploadFile } from './upload-file.ts';

/** Longest that a whole upload or a whole transcode may take. */
const longestMs = 24 * 3_600_000;

type Clients = { transcode: RpcClient<typeof TranscodeService>; manifest: RpcClient<typeof ManifestService> };

/** Help of `transcode`. */
export const transcodeHelp = `usage:
  showrunner transcode FILE [options]
      upload a video, make a title of it and print where it plays

  --title NAME          default: the name of the file
  --params JSON         further parameters of the job, such as {"codecs": ["h264", "hevc"]}
  --no-wait             end when the job is queued

${connectionHelp}`;

/**
 * `showrunner transcode FILE`: uploads a video to a running server, makes a title of it and prints where it plays and
 * what its checks found. The title is named after the file unless --title names it, and is created where it is new.
 * --params is a JSON object of the job's other parameters; --no-wait ends after the job is queued.
 */
export async function transcode(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...connectionOptions,
      title: { type: 'string' },
      params: { type: 'string', default: '{}' },
      'no-wait': { type: 'boolean', default: false },
    },
  });
  const [path, ...rest] = positionals;
  if (path === undefined || rest.length > 0) throw invalidField('FILE', 'name one video file');
  const params = readParams(values.params);
  const output = process.stdout;
  return withConnection(TranscodeService, values, env, (client, options) =>
    // One connection serves both: clients of the same address share it.
    withManifest(values, env, async (manifest) => {
      const clients = { transcode: client, manifest };
      const title = titleName(values.title ?? basename(path, extname(path)));
      const made = await start(clients, { path, title, params }, options, output);
      output.write(`${made.name} makes ${title} (${made.job})\n`);
      if (values['no-wait']) return;
      await finish(clients, made, options, output);
    }),
  );
}

async function withManifest(
  values: Parameters<typeof withConnection>[1],
  env: NodeJS.ProcessEnv,
  work: (client: RpcClient<typeof ManifestService>) => Promise<void>,
): Promise<void> {
  let failure: unknown;
  await withConnection(ManifestService, values, env, async (client) => {
    try {
      await work(client);
    } catch (error) {
      // Told once, by the outer connection.
      failure = error;
    }
  });
  if (failure !== undefined) throw failure;
}

/** `titles/{title}` of any text: lower case without accents, hyphens for all else. */
function titleName(text: string): string {
  const slug = text
    .replace(/^titles\//, '')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63);
  if (slug === '') throw invalidField('--title', `"${text}" has no letter or digit to name a title by`);
  return `titles/${slug}`;
}

/** INVALID_ARGUMENT for anything but a JSON object. */
function readParams(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // Told below: whatever it is, it is no object.
  }
  throw invalidField('--params', 'must be a JSON object, such as {"codecs": ["h264", "hevc"]}');
}

interface TitleOrder {
  readonly path: string;
  readonly title: string;
  readonly params: JsonObject;
}

async function start(
  clients: Clients,
  { path, title, params }: TitleOrder,
  options: CallOptions,
  output: ProgressOutput,
) {
  const bar = createProgressBar(output, 'source');
  const upload = await uploadFile(clients.transcode, path, {
    deadlineMs: longestMs,
    signal: options.signal,
    onProgress: bar.update,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
  }).finally(() => bar.end());
  await clients.manifest
    .createTitle({ title: { name: title, displayName: basename(path, extname(path)) } }, options)
    .catch(ignoreExisting);
  const { transcode: made } = await clients.transcode.createTranscode(
    { transcode: { title, sourceKey: upload.sourceKey, params } },
    options,
  );
  if (!made) throw new Error('the server gave no transcode');
  return made;
}

/** A title that is there keeps what it says of itself. */
function ignoreExisting(error: unknown): void {
  if (!(error instanceof AppError) || error.code !== Code.ALREADY_EXISTS) throw error;
}

/** Watches a transcode to its end and shows its title. An interrupt ends the watch, not the transcode. */
async function finish(clients: Clients, made: Transcode, options: CallOptions, output: ProgressOutput): Promise<void> {
  try {
    await showProgress(clients.transcode, made.name, options, output);
    await showTitle(clients, made.name, options, output);
  } catch (error) {
    if (!options.signal.aborted) throw error;
    output.write(`${made.job} goes on: showrunner jobs watch ${made.job}\n`);
  }
}

/** What was made, with its checks. Throws the error of a transcode that did not succeed. */
async function showTitle(clients: Clients, name: string, options: CallOptions, output: ProgressOutput): Promise<void> {
  const { transcode: client, manifest } = clients;
  const { transcode: ended } = await client.getTranscode({ name }, options);
  if (ended?.state !== Job_State.SUCCEEDED) throw transcodeEnded(ended, name);
  const { encodeSet } = ended;
  const { sources } = await manifest.getPlayback({ title: encodeSet, session: 'showrunner-transcode' }, options);
  const { verification } = await client.getVerification({ encodeSet }, options);
  const checks = (verification?.checks ?? []).map(({ name: check, ok, detail }) => [
    check,
    ok ? 'ok' : 'FAILED',
    detail,
  ]);
  output.write(`\n${formatTable([['check', '', 'found'], ...checks])}\n`);
  for (const warning of warningsOf(ended)) output.write(`\nwarning: ${warning}`);
  const source = sources[0];
  output.write(`\n${encodeSet}\nHLS   ${source?.hlsUrl ?? 'no appliance serves it'}\nDASH  ${source?.dashUrl ?? ''}\n`);
}

/** Follows a transcode until it ends. */
async function showProgress(
  client: Clients['transcode'],
  name: string,
  options: CallOptions,
  output: ProgressOutput,
): Promise<void> {
  const bar = createProgressBar(output, 'title');
  let progress: JobProgress | undefined;
  try {
    for await (const { event, rungs } of client.watchTranscode({ name }, { ...options, deadlineMs: longestMs })) {
      if (event?.event.case === 'progress') progress = event.event.value;
      // Between the ends of two parts there is only the time that is left.
      else if (event !== undefined || progress === undefined) continue;
      const { fraction, stage, message } = progress;
      bar.update(fraction, stage, `${message}${timeLeft(rungs)}`);
    }
  } finally {
    bar.end();
  }
}

/** `, 12 s of encoding left`: what the slowest rung takes; empty while unknown. */
function timeLeft(rungs: readonly RungProgress[]): string {
  const seconds = rungs.flatMap(({ remainingTime }) => (remainingTime ? Number(remainingTime.seconds) : []));
  return seconds.length === 0 ? '' : `, ${Math.max(...seconds)} s of encoding left`;
}

function warningsOf({ result }: Transcode): string[] {
  const warnings = result?.['warnings'];
  return Array.isArray(warnings) ? warnings.map(String) : [];
}

/** FAILED_PRECONDITION: the transcode ended without success; the reason is the job's own. */
function transcodeEnded(ended: Transcode | undefined, name: string): AppError {
  const state = Object.entries(Job_State).find(([, value]) => value === ended?.state)?.[0] ?? 'an unknown state';
  return new AppError({
    code: ended?.error?.code ? (ended.error.code as Code) : Code.FAILED_PRECONDITION,
    reason: ended?.error?.reason || 'TRANSCODE_ENDED',
    message: `${name} ended in ${state}${ended?.error ? `: ${ended.error.message}` : ''}`,
  });
}
