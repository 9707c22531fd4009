import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { systemClock } from '../../core/clock.ts';
import { createProgressBar, type ProgressOutput } from '../terminal/progress-bar.ts';
import { uploadFile } from '../transcode/upload-file.ts';
import type { DemoClients } from './demo-clients.ts';
import { watchJob } from './watch-job.ts';

/** The title that the demo publishes. */
export const demoTitle = {
  name: 'titles/big-buck-bunny',
  displayName: 'Big Buck Bunny',
  genres: ['Animation', 'Children', 'Comedy'],
};

/**
 * Creates the title, uploads the clip as its source and transcodes it, to tell the profile when it can be played;
 * gives the encode set that now plays.
 */
export async function transcodeTitle(clients: DemoClients, clip: string, profile: string, output: ProgressOutput) {
  const { manifest, jobs } = clients;
  await manifest.createTitle({ title: demoTitle });
  const bar = createProgressBar(output, 'source');
  const { sourceKey } = await uploadFile(clients.transcode, clip, {
    deadlineMs: 60_000,
    signal: new AbortController().signal,
    onProgress: bar.update,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
  }).finally(() => bar.end());
  const { job } = await jobs.createJob({
    job: { kind: 'transcode', params: { titleId: demoTitle.name, sourceKey }, labels: { notify: profile } },
    requestId: 'demo-transcode',
  });
  await watchJob(clients, job?.name ?? '', 'transcode', output);
  const { encodeSets } = await manifest.listEncodeSets({ title: demoTitle.name });
  const set = encodeSets[0];
  if (!set) throw new Error('the transcode registered no encode set');
  const megabytes = (Number(set.totalBytes) / 1e6).toFixed(1);
  const outcome = `${set.frameCount} frames at ${set.frameRate}: ${set.fileCount} files, ${megabytes} MB`;
  return { value: set, outcome };
}

/** Frames that ffprobe decodes from the first video stream behind a URL. */
export async function countFrames(ffprobe: string, url: string): Promise<number> {
  const flags = ['-v', 'error', '-select_streams', 'v:0', '-count_frames'];
  const show = ['-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0'];
  // Not the synchronous kind: this very process serves the segments.
  const { stdout } = await promisify(execFile)(ffprobe, [...flags, ...show, url], { timeout: 60_000 });
  return Number.parseInt(stdout, 10);
}
