import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { ProgressOutput } from '../terminal/progress-bar.ts';
import type { DemoClients } from './demo-clients.ts';
import { watchJob } from './watch-job.ts';

/** The title that the demo publishes. */
export const demoTitle = {
  name: 'titles/big-buck-bunny',
  displayName: 'Big Buck Bunny',
  genres: ['Animation', 'Children', 'Comedy'],
};

/** Creates the title, stores the clip as its source and transcodes it; gives the encode set that now plays. */
export async function transcodeTitle(clients: DemoClients, objects: ObjectStore, clip: string, output: ProgressOutput) {
  const { manifest, jobs } = clients;
  await manifest.createTitle({ title: demoTitle });
  const sourceKey = `sources/${basename(clip)}`;
  await objects.putFile(sourceKey, clip, { contentType: 'video/mp4' });
  const { job } = await jobs.createJob({
    job: { kind: 'transcode', params: { titleId: demoTitle.name, sourceKey } },
    requestId: 'demo-transcode',
  });
  const done = await watchJob(clients, job?.name ?? '', 'transcode', output);
  const { encodeSets } = await manifest.listEncodeSets({ title: demoTitle.name });
  const set = encodeSets[0];
  if (!set) throw new Error('the transcode registered no encode set');
  const megabytes = (Number(set.totalBytes) / 1e6).toFixed(1);
  const outcome = `${set.frameCount} frames at ${set.frameRate} in ${done.attempts.length} attempt(s): ${set.fileCount} files, ${megabytes} MB`;
  return { value: set, outcome };
}

/** Frames that ffprobe decodes from the first video stream behind a URL. */
export function countFrames(ffprobe: string, url: string): number {
  const flags = ['-v', 'error', '-select_streams', 'v:0', '-count_frames'];
  const { status, stdout, stderr } = spawnSync(
    ffprobe,
    [...flags, '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', url],
    { encoding: 'utf8', timeout: 60_000 },
  );
  if (status !== 0) throw new Error(`ffprobe could not play ${url}: ${stderr.trim()}`);
  return Number.parseInt(stdout, 10);
}
