import type { KernelExit } from '../kernel/kernel-process.ts';
import type { CellError } from './run-record.ts';

/** The end of what the kernel's process wrote, as lines of a traceback. */
export function logLines(logTail: string): string[] {
  return logTail === '' ? [] : ['The kernel process wrote:', ...logTail.split('\n').slice(-20)];
}

/**
 * How the end of its kernel shows in the record of a run: one that ended by itself is a fault of the notebook, one that
 * was killed is not known to be. `when` completes the sentence, e.g. `while the cell ran`.
 */
export function verdictOfExit(
  { code, signal }: KernelExit,
  logTail: string,
  when: string,
): { status: 'failed' | 'killed'; error: CellError } {
  const traceback = logLines(logTail);
  if (signal === 'SIGXCPU') {
    const evalue = 'the kernel process used more processor time than it may';
    return { status: 'killed', error: { ename: 'CpuLimitExceeded', evalue, traceback } };
  }
  if (signal === 'SIGXFSZ') {
    const evalue = 'the kernel process wrote a larger file than it may';
    return { status: 'killed', error: { ename: 'DiskLimitExceeded', evalue, traceback } };
  }
  if (signal !== null) {
    const evalue = `the kernel process was ended by ${signal} ${when}`;
    return { status: 'killed', error: { ename: 'KernelKilled', evalue, traceback } };
  }
  const evalue = `the kernel process ended with exit code ${code} ${when}`;
  return { status: 'failed', error: { ename: 'KernelExited', evalue, traceback } };
}
