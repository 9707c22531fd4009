import type { IncomingChannel } from './kernel-channels.ts';
import type { WireMessage } from './wire-codec.ts';

/**
 * When the kernel said what of a request, by its own clock, in ISO 8601; a message that did not come is left out. Names
 * as nbclient and JupyterLab have them in `metadata.execution`.
 */
export type ExecuteTimes = {
  [Moment in 'iopub.status.busy' | 'iopub.execute_input' | 'shell.execute_reply' | 'iopub.status.idle']?: string;
};

/** Adds the time of a message of the request, when it is one of those whose time is kept. */
export function noteTime(times: ExecuteTimes, channel: IncomingChannel, message: WireMessage): void {
  const moment = momentOf(channel, message);
  if (moment === undefined) return;
  const atMs = Date.parse(message.date);
  if (!Number.isNaN(atMs)) times[moment] = new Date(atMs).toISOString();
}

function momentOf(channel: IncomingChannel, { type, content }: WireMessage): keyof ExecuteTimes | undefined {
  if (channel === 'shell') return type === 'execute_reply' ? 'shell.execute_reply' : undefined;
  if (channel !== 'iopub') return undefined;
  if (type === 'execute_input') return 'iopub.execute_input';
  if (type !== 'status') return undefined;
  if (content['execution_state'] === 'busy') return 'iopub.status.busy';
  return content['execution_state'] === 'idle' ? 'iopub.status.idle' : undefined;
}
