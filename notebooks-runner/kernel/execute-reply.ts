import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import type { KernelExit } from './kernel-process.ts';

/** What a kernel says about one execute_request. */
export interface ExecuteReply {
  /** `aborted` = the kernel did not run it. */
  readonly status: 'ok' | 'error' | 'aborted';
  readonly executionCount: number | null;
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
  /** The cell asked the client to end the kernel, as `exit()` does in IPython; it goes on for a moment. */
  readonly asksExit: boolean;
}

/** How a request ended: with the kernel's answer, or with the kernel. */
export type ExecuteOutcome =
  | { readonly kind: 'replied'; readonly reply: ExecuteReply }
  | { readonly kind: 'died'; readonly exit: KernelExit };

/** Reads the content of an execute_reply; a status that is not known counts as an error. */
export function readExecuteReply(content: JsonObject): ExecuteReply {
  const fields = content as Readonly<Record<string, unknown>>;
  const { status, execution_count: count, ename, evalue, traceback, payload } = fields;
  // `abort` is how one kernel spells it.
  const known = status === 'ok' ? 'ok' : status === 'aborted' || status === 'abort' ? 'aborted' : 'error';
  return {
    status: known,
    executionCount: readExecutionCount(count),
    ename: typeof ename === 'string' ? ename : 'Error',
    evalue: typeof evalue === 'string' ? evalue : '',
    traceback: Array.isArray(traceback) ? traceback.filter((line) => typeof line === 'string') : [],
    asksExit: Array.isArray(payload) && payload.some(isExitRequest),
  };
}

/** The count that a kernel gives; null for what nbformat takes for none. */
export function readExecutionCount(count: unknown): number | null {
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : null;
}

/** Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html#payloads-deprecated */
function isExitRequest(payload: unknown): boolean {
  return isJsonObject(payload) && payload['source'] === 'ask_exit' && payload['keepkernel'] !== true;
}

/** The outcome of a request after which the kernel became idle without ever answering. */
export const missingReply: ExecuteReply = {
  status: 'error',
  executionCount: null,
  ename: 'KernelProtocolError',
  evalue: 'the kernel became idle without a reply to the cell',
  traceback: [],
  asksExit: false,
};
