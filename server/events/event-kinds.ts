import { checkPlayData, checkRatingData, type DataCheck } from './event-data.ts';

/** What the intake knows of a kind of event. */
export interface EventKind {
  /** An event that happened longer ago is refused as too old, in ms. */
  readonly maxAgeMs: number;
  readonly description: string;
  /** Default: any data will do. */
  readonly checkData?: DataCheck;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * The kinds that showrunner itself produces or acts on. Ages: what only matters at once ages in minutes, what changes
 * a member's profile may come late from a device that was offline.
 */
export const eventKinds: Readonly<Record<string, EventKind>> = {
  'play.started': { maxAgeMs: dayMs, description: 'A member began to play a title.', checkData: checkPlayData },
  'play.stopped': {
    maxAgeMs: 7 * dayMs,
    description: 'A member stopped; data.fraction says how far the title was seen.',
    checkData: checkPlayData,
  },
  'title.rated': {
    maxAgeMs: 30 * dayMs,
    description: 'A member rated a title; data.stars is 0.5 to 5.',
    checkData: checkRatingData,
  },
  'title.available': { maxAgeMs: 7 * dayMs, description: 'A title became playable, e.g. after its transcode.' },
  'model.published': { maxAgeMs: dayMs, description: 'A new ranking model is in use; data.model names it.' },
  'profile.changed': { maxAgeMs: 7 * dayMs, description: 'Settings of a profile changed, e.g. its maturity level.' },
  'job.ended': { maxAgeMs: 7 * dayMs, description: 'A job of its own has ended; data.state says how.' },
  'job.sla-missed': {
    maxAgeMs: 7 * dayMs,
    description: 'A job has not begun, or not ended, in time; data.promise says which.',
  },
  diagnostic: { maxAgeMs: 15 * minuteMs, description: 'A signal of a device for operators.' },
};
