import { isPermanent } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { JobNotice } from './webhook.ts';
import type { Webhooks } from './webhooks.ts';

/** Where ends of jobs and missed promises are told: webhooks first, then the listeners of this process. */
export interface Notices {
  /** A rejection is tried again by whoever tells; permanent refusals of a listener are logged only. */
  tell(notice: JobNotice): Promise<void>;
  on(listener: (notice: JobNotice) => Promise<void>): void;
}

/** One after the other; a rejection that may pass ends the round, and all are told again with the next. */
export function createNotices(webhooks: Pick<Webhooks, 'tell'>, log: Logger): Notices {
  const listeners: ((notice: JobNotice) => Promise<void>)[] = [];
  return {
    tell: async (notice) => {
      await webhooks.tell(notice);
      for (const listener of listeners) {
        try {
          await listener(notice);
        } catch (error) {
          if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
          log.error('notice of a job was refused', { notice: notice.id, error: error.message });
        }
      }
    },
    on: (listener) => void listeners.push(listener),
  };
}
