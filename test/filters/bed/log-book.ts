import { createLogger, type Logger } from '../../../server/core/log.ts';

export interface LogBook {
  readonly log: Logger;
  /** Every line, parsed. */
  readonly lines: Record<string, unknown>[];
  /** Lines with this message. */
  of(message: string): Record<string, unknown>[];
}

/** The real logger, writing into memory. */
export function createLogBook(): LogBook {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level: 'debug', write: (line) => void lines.push(JSON.parse(line)) });
  return { log, lines, of: (message) => lines.filter((line) => line['message'] === message) };
}
