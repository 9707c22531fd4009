import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import { type ExecuteOutcome, missingReply, readExecuteReply } from './execute-reply.ts';
import { type ExecuteTimes, noteTime } from './execute-times.ts';
import type { IncomingChannel, KernelChannels } from './kernel-channels.ts';
import type { KernelExit, KernelProcess } from './kernel-process.ts';
import type { Kernelspec } from './kernelspec.ts';
import { createOutputBarrier } from './output-barrier.ts';
import { createPendingRequests } from './pending-requests.ts';
import type { WireMessage } from './wire-codec.ts';

/** A started kernel. It serves one request at a time. */
export interface Kernel {
  readonly spec: Kernelspec;
  readonly pid: number;
  readonly died: Promise<KernelExit>;
  hasDied(): boolean;
  /** Content of the last kernel_info_reply; empty before the first. */
  info(): JsonObject;
  /** Receives iopub messages in order of arrival; one listener at a time. */
  listen(listener: (message: WireMessage) => void): void;
  /** Asks for kernel_info; true when the reply came AND anything was ever heard on iopub: our subscription works. */
  probe(replyWaitMs: number): Promise<boolean>;
  /** Runs code; one at a time. */
  execute(code: string, options?: ExecuteOptions): Execution;
  /**
   * Makes a kernel that is ready also quick to use and to end; call once, before any cell. Leaves no trace in the
   * notebook: no name, no count, no output.
   */
  prepare(): Promise<void>;
  /**
   * Waits until everything that was printed so far has reached the listener. Needed where output is published after
   * the reply (dialect `deno`); elsewhere it returns at once. False when the kernel never sent its sign.
   */
  barrier(): Promise<boolean>;
  /** Asks the kernel to stop the running cell; it may ignore that. */
  interrupt(): void;
  /** Sends one heartbeat; resolves when the kernel echoes it. */
  beat(): Promise<void>;
  /** Waits until no message has arrived for `quietMs`. */
  settle(quietMs: number): Promise<void>;
  /** Ends the process group by SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /**
   * Lets the kernel end by itself where that matters, for at most `exitGraceMs` (default 5,000, as long as Jupyter's
   * clients give: exit handlers of a notebook may have files to write), kills what is left, and closes the sockets.
   */
  close(exitGraceMs?: number): Promise<void>;
  /** What the process wrote to its own stdout and stderr, last 8 KiB. */
  logTail(): string;
  /** Messages so far that were malformed or carried a wrong signature. */
  refusedMessages(): number;
  /** Sends new state to the kernel's end of a comm (widgets). */
  sendComm(commId: string, data: JsonObject): void;
}

/** A request to run code. */
interface Execution {
  readonly id: string;
  /** Never rejects; resolves after reply and idle, or when the kernel died. */
  readonly ended: Promise<ExecuteOutcome>;
  /** Filled while it runs. */
  readonly times: ExecuteTimes;
}

interface ExecuteOptions {
  /** No history, no result, no execution count. Default false. */
  readonly silent?: boolean;
  /** True: the kernel must not abort what is queued behind a failure. Default false. */
  readonly mayFail?: boolean;
}

interface KernelParts {
  readonly spec: Kernelspec;
  readonly process: KernelProcess;
  readonly clock: Clock;
  readonly log: Logger;
  refusedMessages(): number;
  /** Opens the sockets with the given receiver. */
  open(onMessage: (channel: IncomingChannel, message: WireMessage) => void): KernelChannels;
}

/**
 * What the interpreter itself made is left out of garbage collection from here on, which takes nine tenths of the time
 * that Python needs to end; what the notebook makes is collected as always. The debugger that was kept out of the start
 * (see kernelspec.ts) can be loaded again.
 */
const preparePython = [
  '__import__("gc").freeze()',
  '[modules.pop("debugpy") for modules in [__import__("sys").modules] if modules.get("debugpy", 0) is None]',
].join('; ');

const quietMs = 5_000;
const statusWaitMs = 20;
const defaultExitGraceMs = 5_000;
const killWaitMs = 5_000;

/** Puts a process and its sockets together. */
export function createKernel({ spec, process, clock, log, open, refusedMessages }: KernelParts): Kernel {
  const requests = createPendingRequests({ clock, died: process.exited, quietMs });
  let info: JsonObject = {};
  const heard = Promise.withResolvers<void>();
  let isHeard = false;
  let isLeaving = false;
  let listener: (message: WireMessage) => void = () => {};
  let timed: Pick<Execution, 'id' | 'times'> = { id: '', times: {} };

  const channels = open((channel, message) => {
    requests.touch();
    if (message.parentId === timed.id) noteTime(timed.times, channel, message);
    if (channel === 'iopub') receiveIopub(message);
    else if (channel === 'stdin') refuseInput(message);
    else if (channel === 'shell' && message.parentId !== undefined) {
      if (message.type === 'kernel_info_reply') info = message.content;
      if (message.type.endsWith('_reply')) requests.reply(message.parentId, message.content);
    }
  });

  function receiveIopub(message: WireMessage): void {
    const { type, parentId, content } = message;
    isHeard = true;
    heard.resolve();
    if (type === 'status' && parentId !== undefined) {
      requests.status(parentId, content['execution_state'] === 'idle');
      return;
    }
    if (type === 'stream') barrier.pass(message);
    else listener(message);
  }

  /** Notebooks run unattended: a question gets an empty answer, so that the kernel does not wait for ever. */
  function refuseInput(message: WireMessage): void {
    if (message.type !== 'input_request') return;
    // The question itself is the notebook's own text, which may hold a secret.
    log.warn('kernel asked for input: refused', { kernel: spec.name });
    channels.send('stdin', 'input_reply', { value: '' });
  }

  function execute(code: string, { silent = false, mayFail = false }: ExecuteOptions = {}): Execution {
    const id = channels.send('shell', 'execute_request', {
      code,
      silent,
      store_history: !silent,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: !mayFail && !silent,
    });
    const ended = requests.wait(id).then((end): ExecuteOutcome => {
      if (end.kind === 'died') return end;
      const reply = end.reply === undefined ? missingReply : readExecuteReply(end.reply);
      isLeaving ||= reply.asksExit;
      return { kind: 'replied', reply };
    });
    timed = { id, times: {} };
    return { ...timed, ended };
  }

  const barrier = createOutputBarrier({
    execute: (code) => execute(code, { silent: true, mayFail: true }).ended,
    settles: (work) => requests.beforeQuiet(Promise.race([work, process.exited]), quietMs),
    deliver: (message) => listener(message),
  });

  async function kill(): Promise<void> {
    process.signalGroup('SIGKILL');
    if (!(await isEndedWithin(killWaitMs))) log.error('kernel survives SIGKILL', { pid: process.pid });
  }

  async function isEndedWithin(ms: number): Promise<boolean> {
    const stop = new AbortController();
    await Promise.race([process.exited, clock.sleep(ms, stop.signal)]);
    stop.abort();
    return process.hasExited();
  }

  return {
    spec,
    pid: process.pid,
    died: process.exited,
    hasDied: process.hasExited,
    info: () => info,
    listen: (next) => {
      listener = next;
    },
    probe: async (replyWaitMs) => {
      const id = channels.send('shell', 'kernel_info_request', {});
      if (!(await requests.repliedWithin(id, replyWaitMs))) return false;
      // The reply often overtakes its status, which the next request would bring as well.
      if (!isHeard) await requests.beforeQuiet(Promise.race([process.exited, heard.promise]), statusWaitMs);
      return isHeard;
    },
    execute,
    prepare: async () => {
      if (spec.dialect === 'deno') await barrier.setUp();
      else if (spec.language === 'python') await execute(preparePython, { silent: true, mayFail: true }).ended;
    },
    barrier: () => (spec.dialect === 'deno' && !process.hasExited() ? barrier.wait() : Promise.resolve(true)),
    interrupt: () => {
      if (spec.interruptMode === 'message') channels.send('control', 'interrupt_request', {});
      else process.signalGroup('SIGINT');
    },
    beat: channels.beat,
    settle: async (ms) => {
      await requests.beforeQuiet(new Promise(() => {}), ms);
    },
    kill,
    close: async (exitGraceMs = defaultExitGraceMs) => {
      // Deno runs nothing at its end, so it is not worth the 120 ms; Python flushes files and runs atexit handlers.
      if (spec.dialect !== 'deno' && !process.hasExited()) {
        // IPython that leaves on its own may hang for ever when it is asked to as well.
        if (!isLeaving) channels.send('control', 'shutdown_request', { restart: false });
        await isEndedWithin(exitGraceMs);
      }
      await kill();
      channels.close();
    },
    logTail: process.logTail,
    refusedMessages,
    sendComm: (commId, data) => void channels.send('shell', 'comm_msg', { comm_id: commId, data }),
  };
}
