import { notebookInvalid } from '../errors.ts';
import { isJsonObject } from '../nbformat/json-value.ts';
import { type Cell, tagsOf } from '../nbformat/notebook.ts';

const tagPattern = /^timeout[:=](.*)$/;
const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const maxTimeoutMs = 86_400_000;

/**
 * The time limit that a cell sets itself, in ms: by the tag `timeout:90s` (also ms, m, h) or by
 * `metadata.showrunner.timeout_seconds`; undefined when it sets none. `path` names the cell in NOTEBOOK_INVALID.
 */
export function cellTimeoutOf(cell: Cell, path: string): number | undefined {
  const tag = tagsOf(cell).find((text) => tagPattern.test(text));
  if (tag !== undefined) {
    const [, amount, unit = ''] = durationPattern.exec(tagPattern.exec(tag)?.[1] ?? '') ?? [];
    return inRange(Number(amount) * (unitMs[unit] ?? Number.NaN), `${path}.metadata.tags`, `tag "${tag}"`);
  }
  const own = cell.metadata['showrunner'];
  const seconds = isJsonObject(own) ? own['timeout_seconds'] : undefined;
  if (seconds === undefined) return undefined;
  return inRange(Number(seconds) * 1_000, `${path}.metadata.showrunner.timeout_seconds`, 'it');
}

function inRange(timeoutMs: number, field: string, what: string): number {
  if (timeoutMs > 0 && timeoutMs <= maxTimeoutMs) return timeoutMs;
  throw notebookInvalid(field, `${what} must be a time like "90s", over 0 and at most 24 hours`);
}
