import type { CallPipeline, CallSession } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import { Code } from '../../core/codes.ts';
import { AppError, isAbortError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Placed, PlaceList } from '../../core/place-list.ts';
import { callCancelled, deadlineExceeded, internalError, metadataTooLarge, serverClosing } from '../errors.ts';
import type { CallContext } from '../handler.ts';
import { metadataBytes } from '../metadata.ts';
import { type StatusError, toStatus } from '../status.ts';
import { type CallTarget, ServerCall, type Wire } from './server-call.ts';
import { transportErrorOf } from './transport-status.ts';

/** What all calls of one server share. */
export interface RpcHost {
  readonly pipeline: CallPipeline | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  readonly isTls: boolean;
  readonly maxMessageBytes: number;
  readonly maxMetadataBytes: number;
  /** Calls in progress; a call removes itself when it ends. */
  readonly inFlight: PlaceList<CallRun>;
  /** Set once the server has begun to close: new calls are refused. */
  isClosing: boolean;
  /** Calls begun since the start. */
  started: number;
  /** Calls that ended with an error. */
  failed: number;
}

/** One call from its arrival to its outcome: counts, abort, the one error path, the one end. */
export class CallRun extends ServerCall implements CallContext, Placed {
  place = -1;
  readonly host: RpcHost;
  readonly session: CallSession | undefined;
  requestMessages = 0;
  responseMessages = 0;
  readonly #sendError: (status: StatusError) => void;
  #isSettled = false;
  #stopListeners: (() => void)[] | undefined;
  #openFault: unknown;

  constructor(host: RpcHost, target: CallTarget, wire: Wire, sendError: (status: StatusError) => void) {
    super(target, wire, host);
    this.host = host;
    this.#sendError = sendError;
    host.started++;
    host.inFlight.add(this);
    this.session = this.#openSession();
    wire.on('cancelled', this.#onCancelled);
  }

  #openSession(): CallSession | undefined {
    try {
      return this.host.pipeline?.open(this);
    } catch (fault) {
      this.#openFault = fault;
      return undefined;
    }
  }

  /** True once the call has its result or was stopped: nothing may be sent any more. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Throws what forbids the call before any handler or filter runs. */
  check(): void {
    if (this.#openFault !== undefined) throw this.#openFault;
    if (this.host.isClosing) throw serverClosing();
    const bytes = metadataBytes(this.metadata);
    if (bytes > this.host.maxMetadataBytes) throw metadataTooLarge(bytes, this.host.maxMetadataBytes);
    const { deadline } = this;
    if (deadline !== Number.POSITIVE_INFINITY && deadline <= this.host.clock.now()) throw deadlineExceeded();
  }

  /** Calls `listener` when the call is stopped from outside, at once if it was. */
  onStop(listener: () => void): void {
    if (this.abortReason !== undefined) listener();
    else if (this.#stopListeners === undefined) this.#stopListeners = [listener];
    else this.#stopListeners.push(listener);
  }

  /** Ends the call with the error of `work`, if it fails; success is reported by `work` itself. */
  settleWith(work: Promise<void>): void {
    work.catch((error: unknown) => this.fail(error));
  }

  /** Stops the call from outside (cancel, deadline, force close, its handler): signal, error path, end. */
  stop(reason: AppError): void {
    if (this.#isSettled) return;
    this.abort(reason);
    for (const listener of this.#stopListeners ?? []) listener();
    this.fail(reason);
  }

  readonly #onCancelled = (): void => {
    if (this.#isSettled) return;
    const isLate = this.deadline <= this.host.clock.now();
    this.stop(transportErrorOf(this.wire) ?? (isLate ? deadlineExceeded() : callCancelled()));
  };

  /** Ends the call with an error, once: error filters, status, end. Whatever fails later is only logged at debug. */
  fail(thrown: unknown): void {
    if (this.#isSettled) {
      if (thrown !== this.abortReason) this.host.log.debug('call failed after its end', { error: thrown });
      return;
    }
    this.#isSettled = true;
    const error = this.#toAppError(thrown);
    const seen = this.#runErrorHook(error);
    if (seen instanceof Promise) {
      seen.then(
        (replaced) => this.#finish(replaced),
        (fault: unknown) => {
          this.#logFault('error hook failed', fault);
          this.#finish(error);
        },
      );
    } else this.#finish(seen);
  }

  #runErrorHook(error: AppError): AppError | Promise<AppError> {
    try {
      return this.session?.error?.(error) ?? error;
    } catch (fault) {
      this.#logFault('error hook failed', fault);
      return error;
    }
  }

  #finish(error: AppError): void {
    this.host.failed++;
    if (!this.wire.cancelled) this.sendHeaders();
    this.#sendError(toStatus(error, this.id, this.trailers));
    this.#end(error);
  }

  /** Marks success; false when the call was settled before, and nothing may be sent. */
  settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    return true;
  }

  /** Reports success after `settle`. */
  succeed(): void {
    this.#end(undefined);
  }

  #end(error: AppError | undefined): void {
    this.host.inFlight.remove(this);
    // Node keeps the stream of an ended call until its next full collection: what hangs on it would stay as long.
    this.wire.off('cancelled', this.#onCancelled);
    if (this.session?.end === undefined) return;
    try {
      this.session.end({
        code: error?.code ?? Code.OK,
        error,
        durationMs: this.host.clock.monotonic() - this.startedAt,
        requestMessages: this.requestMessages,
        responseMessages: this.responseMessages,
      });
    } catch (fault) {
      this.#logFault('end hook failed', fault);
    }
  }

  #toAppError(thrown: unknown): AppError {
    const { abortReason } = this;
    // Node's own waits reject with an AbortError of theirs when our signal aborts.
    if (abortReason !== undefined && isAbortError(thrown)) return abortReason;
    if (thrown instanceof AppError && thrown.code !== Code.OK) {
      if (thrown.code === Code.INTERNAL || thrown.code === Code.DATA_LOSS || thrown.code === Code.UNKNOWN) {
        this.#logFault('call failed', thrown);
      }
      return thrown;
    }
    this.#logFault('call failed', thrown);
    return internalError(thrown);
  }

  #logFault(message: string, fault: unknown): void {
    const error = fault instanceof Error ? fault : new Error(String(fault));
    this.host.log.error(message, { call_id: this.id, method: this.path, error });
  }
}
