import type { RunFailure, RunRecord } from '../../notebooks-runner/run/run-record.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';

/** The notebook did not succeed by its own fault: it raised an error, ran out of time or memory, or ended its kernel. */
export function notebookFailed(
  record: RunRecord,
  failure: RunFailure,
  outputKey: string,
  files: Readonly<Record<string, string>>,
): AppError {
  return failed(Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED', record, failure, outputKey, files);
}

/** Somebody else ended the kernel, e.g. the system when memory was short: a later try may succeed. */
export function notebookKernelKilled(record: RunRecord, failure: RunFailure, outputKey: string): AppError {
  return failed(Code.UNAVAILABLE, 'NOTEBOOK_KERNEL_KILLED', record, failure, outputKey);
}

/** This repository ships no notebook of that name. */
export function shippedNotebookMissing(name: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'NOTEBOOK_NOT_FOUND',
    message: `no notebook "${name}" is shipped`,
    metadata: { name },
  });
}

function failed(
  code: Code,
  reason: string,
  record: RunRecord,
  failure: RunFailure,
  outputKey: string,
  more: Readonly<Record<string, string>> = {},
): AppError {
  const cell = failure.sourceIndex ?? failure.cellIndex;
  const place = cell === undefined ? 'the notebook' : `cell ${cell}`;
  return new AppError({
    code,
    reason,
    message: `${place} ${record.status}: ${failure.ename}: ${failure.evalue.slice(0, 500)}`,
    metadata: {
      status: record.status,
      cell: cell === undefined ? '' : String(cell),
      cell_id: failure.cellId ?? '',
      ename: failure.ename,
      evalue: failure.evalue.slice(0, 1_000),
      output_key: outputKey,
      ...more,
    },
  });
}
