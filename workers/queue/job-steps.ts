import type { Json } from './job-kind.ts';
import { type JobLedger, maxMemoBytes } from './job-ledger.ts';
import { jobValueTooLarge, leaseLost } from './queue-errors.ts';
import { checkName } from './queued-job.ts';
import type { RunningAttempt } from './running-attempt.ts';

/** Most bytes of one step's result, and of a job's result, as JSON. */
const maxResultBytes = 256 * 1024;

/** Checks a result against its bound. Throws JOB_VALUE_TOO_LARGE. */
export function checkResult(what: string, value: Json): Json {
  // A kind that gives undefined by a type hole stores null, as JSON does.
  const json = JSON.stringify(value ?? null);
  const bytes = Buffer.byteLength(json);
  if (bytes > maxResultBytes) throw jobValueTooLarge(what, bytes, Math.min(maxResultBytes, maxMemoBytes));
  return value ?? null;
}

/** The `step` of a JobContext: runs the work once per job, over all its attempts. */
export function createSteps(ledger: JobLedger, attempt: RunningAttempt) {
  const inFlight = new Map<string, Promise<Json>>();

  const runStep = async (name: string, work: () => Promise<Json>): Promise<Json> => {
    const memo = await ledger.findMemo(attempt.holder.jobId, name);
    if (memo !== undefined) return memo;
    attempt.signal.throwIfAborted();
    const value = checkResult(`step "${name}"`, await work());
    const stored = await ledger.storeMemo(attempt.holder, name, value);
    if (stored !== undefined) return stored.value;
    attempt.abort(leaseLost());
    throw attempt.signal.reason;
  };

  return <T extends Json>(name: string, work: () => Promise<T>): Promise<T> => {
    checkName('step', name);
    const running = inFlight.get(name) ?? runStep(name, work).finally(() => inFlight.delete(name));
    inFlight.set(name, running);
    return running as Promise<T>;
  };
}
