import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { trace } from '@opentelemetry/api';
import { type FfmpegLocations, resolveFfmpeg } from '../../../workers/transcode/ffmpeg/ffmpeg-binaries.ts';
import { type Stack, startStack } from '../../app/start-stack.ts';
import { readConfig } from '../../core/config/read-config.ts';
import { messageOf } from '../../core/errors.ts';
import { firstSignal } from '../first-signal.ts';
import { createDemoClients, type DemoClients } from './demo-clients.ts';
import { createDemoSteps, type DemoSteps } from './demo-steps.ts';
import { formatDemoTrace, formatPages, formatSteps } from './demo-summary.ts';
import { importRatings } from './import-ratings.ts';
import {
  awaitTitleAvailable,
  cachePage,
  demoProfile,
  findPlayback,
  openDevices,
  playAsMember,
} from './play-as-member.ts';
import { runReport } from './report-notebook.ts';
import { trainModel } from './train-model.ts';
import { countFrames, transcodeTitle } from './transcode-title.ts';

/** A call that takes longer has failed; jobs are watched for longer. */
const callTimeoutMs = 60_000;
const data = join(import.meta.dirname, '../../../data');

/**
 * `showrunner demo`: starts the whole stack on a state folder of its own and takes one real title and one real member
 * through every service. Stays up on a terminal until Ctrl-C; `--exit`, or no terminal, ends it. Exit code 1 when
 * anything of it failed, 130 when Ctrl-C came before it was done: then too the stack ends in order, and running jobs are
 * handed back to the queue for the next demo.
 */
export async function demo(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { exit: { type: 'boolean', default: false } } });
  const output = process.stdout;
  const config = readConfig({
    SHOWRUNNER_STATE_DIR: '.showrunner/demo',
    SHOWRUNNER_LOG_LEVEL: 'warn',
    // Nobody waits for the jobs of a demo that was interrupted.
    SHOWRUNNER_DRAIN_TIMEOUT_MS: '1000',
    ...env,
  });
  const signal = firstSignal();
  const ffmpeg = { ffmpegPath: config.FFMPEG, ffprobePath: config.FFPROBE, searchPath: env['PATH'] ?? '' };
  const startedAt = performance.now();
  await using stack = await startStack(config, env);
  output.write(`server on ${stack.address}, ${stack.workerPids().length} workers, state in ${config.STATE_DIR}\n`);
  const steps = createDemoSteps(output);
  const clients = createDemoClients(stack.address, stack.apiKey, callTimeoutMs);
  const run = underOneSpan(() => runSteps(stack, ffmpeg, clients, steps, output));
  const ended = await Promise.race([run, signal]);
  if ('exitCode' in ended) {
    output.write(`\n${ended.name}: ending the server and its workers\n`);
    clients.close();
    return ended.exitCode;
  }
  const { traceId, failure } = ended;
  // What went wrong before is told below, also where nothing answers any more.
  await report(traceId, clients, output).catch((error: unknown) => output.write(`\nno trace: ${messageOf(error)}\n`));
  clients.close();
  output.write(`\n${formatSteps(steps.results)}\n`);
  output.write(`\ntotal ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
  if (failure !== undefined) {
    output.write(`\nFAILED: ${messageOf(failure)}\n`);
    return 1;
  }
  output.write(grpcurlLines(stack.address, config.STATE_DIR));
  if (!values.exit && process.stdin.isTTY && process.stdout.isTTY) {
    output.write('\nThe server stays up; Ctrl-C ends it.\n');
    await signal;
  }
  return 0;
}

/** Runs the work under a root span; what it throws is given, so that the trace can be shown in either case. */
async function underOneSpan(work: () => Promise<void>): Promise<{ traceId: string; failure: unknown }> {
  return await trace.getTracer('showrunner.demo').startActiveSpan('demo', async (root) => {
    const { traceId } = root.spanContext();
    try {
      await work();
      return { traceId, failure: undefined };
    } catch (failure) {
      return { traceId, failure };
    } finally {
      root.end();
    }
  });
}

type Output = NodeJS.WriteStream;

async function runSteps(stack: Stack, ffmpeg: FfmpegLocations, clients: DemoClients, steps: DemoSteps, output: Output) {
  const { objects } = stack;
  const movies = join(data, 'ml-latest-small');
  const clip = join(data, 'video', 'big-buck-bunny-5s-720p.mp4');
  const television = await steps.run('open the devices', () => openDevices(clients));
  const dataset = await steps.run('import ratings', () => importRatings(clients, movies));
  const model = await steps.run('train and publish the ranker', () => trainModel(clients, dataset.name, output));
  const set = await steps.run('transcode the title', () => transcodeTitle(clients, clip, demoProfile, output));
  await steps.run('tell the member', () => awaitTitleAvailable(television));
  const notebook = await steps.run('run the metrics notebook', () =>
    runReport(clients, objects, model, join(movies, 'movies.csv'), output),
  );
  const source = await steps.run('find where to play', () => findPlayback(clients));
  await steps.run('play both manifests', async () => {
    const { ffprobe } = await resolveFfmpeg(ffmpeg);
    const [hls, dash] = await Promise.all([source.hlsUrl, source.dashUrl].map((url) => countFrames(ffprobe, url)));
    const frames = Number(set.frameCount);
    if (hls !== frames || dash !== frames) throw new Error(`played ${hls} and ${dash} of ${frames} frames`);
    return { value: undefined, outcome: `HLS ${hls} frames, DASH ${dash} frames` };
  });
  const played = await steps.run('play as a member', () => playAsMember(clients, television));
  await steps.run('cache the page', () => cachePage(clients, played.after));
  television.close();
  output.write(`\n${formatPages(played.before, played.after)}\n`);
  output.write(`\nHLS master       ${source.hlsUrl}\noutput notebook  ${notebook}\n`);
}

const traceWaitMs = 3_000;

/** Prints the demo's one trace, once the workers' spans have stopped coming in. */
async function report(traceId: string, { traces }: DemoClients, output: Output): Promise<void> {
  let seen = -1;
  const until = performance.now() + traceWaitMs;
  for (;;) {
    const { spans } = await traces.getTrace({ traceId });
    if (spans.length === seen || performance.now() > until) {
      output.write(`\ntrace ${traceId}, ${spans.length} spans\n${formatDemoTrace(traceId, spans)}\n`);
      return;
    }
    seen = spans.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

function grpcurlLines(address: string, stateDir: string): string {
  const call = `grpcurl -plaintext -H "x-api-key: $(cat ${stateDir}/api-key)"`;
  return [
    '\ntry:',
    `  grpcurl -plaintext ${address} list`,
    `  ${call} -d '{"profile":"${demoProfile}","rowCount":2}' ${address} showrunner.ranking.v1.RankingService/Recommend`,
    `  ${call} -d '{"title":"titles/big-buck-bunny","session":"me"}' ${address} showrunner.manifest.v1.ManifestService/GetPlayback`,
    '',
  ].join('\n');
}
