import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** NOT_FOUND: neither shipped nor stored. */
export function notebookNotFound(name: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'NOTEBOOK_NOT_FOUND',
    message: `there is no notebook "${name}"`,
    metadata: { name },
  });
}

/** FAILED_PRECONDITION: a job of another kind has no run to watch. */
export function jobIsNoNotebook(job: string, kind: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'JOB_IS_NO_NOTEBOOK',
    message: `${job} is a job of kind "${kind}", not "notebook"`,
    metadata: { job, kind },
  });
}

/** FAILED_PRECONDITION: the page does not fit into a message. */
export function pageTooLarge(outputKey: string, bytes: number, maxBytes: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTEBOOK_PAGE_TOO_LARGE',
    message: `the page of "${outputKey}" has ${bytes} bytes, over the limit of ${maxBytes}`,
    metadata: { output_key: outputKey, bytes: String(bytes), max_bytes: String(maxBytes) },
  });
}
