import { Dealer, Request, Subscriber } from 'zeromq';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import type { ConnectionInfo } from './connection-file.ts';
import type { WireCodec, WireMessage } from './wire-codec.ts';

/** The channels that carry messages from the kernel. */
export type IncomingChannel = 'shell' | 'control' | 'stdin' | 'iopub';

interface ChannelsOptions {
  readonly connection: ConnectionInfo;
  readonly codec: WireCodec;
  /** Client identity; shell and stdin must share it. */
  readonly session: string;
  readonly log: Logger;
  /**
   * True for kernels that leave Nagle's algorithm on (Deno): each small message then waits until the one before is
   * acknowledged, which a socket that only listens delays by 40 ms. See `acknowledge`.
   */
  readonly hasNagle: boolean;
  /** Called in order of arrival per channel. */
  onMessage(channel: IncomingChannel, message: WireMessage): void;
}

/** The client's ends of a kernel's five sockets. */
export interface KernelChannels {
  /** Queues a message and gives its msg_id. */
  send(channel: 'shell' | 'control' | 'stdin', type: string, content: JsonObject): string;
  /** Sends one heartbeat and resolves when it comes back; never resolves on a dead kernel. */
  beat(): Promise<void>;
  close(): void;
}

// No high-water mark: with the default of 1,000 messages libzmq silently drops output, and even `idle`, while the
// event loop is busy. The sockets are always drained; output is capped in bytes where it is kept.
// The default reconnect interval of 100 ms would add as much to every start.
const common = { linger: 0, reconnectInterval: 10, receiveHighWaterMark: 0 };

/** Connects to the kernel and reads all channels until `close`. */
export function openKernelChannels(options: ChannelsOptions): KernelChannels {
  const { connection, codec, session, log, onMessage } = options;
  const endpoint = (port: number) => `${connection.transport}://${connection.ip}:${port}`;
  const shell = new Dealer({ ...common, routingId: session });
  const control = new Dealer({ ...common, routingId: session });
  const stdin = new Dealer({ ...common, routingId: session });
  const iopub = new Subscriber(common);
  const heartbeat = new Request(common);
  const dealers = { shell, control, stdin };
  shell.connect(endpoint(connection.shell_port));
  control.connect(endpoint(connection.control_port));
  stdin.connect(endpoint(connection.stdin_port));
  iopub.connect(endpoint(connection.iopub_port));
  iopub.subscribe();
  heartbeat.connect(endpoint(connection.hb_port));

  let isAcknowledging = false;
  let hasExtraTopic = false;

  /** Makes the system acknowledge what came on iopub: changing a subscription sends a few bytes, once per loop turn. */
  function acknowledge(): void {
    if (isAcknowledging) return;
    isAcknowledging = true;
    setImmediate(() => {
      isAcknowledging = false;
      if (iopub.closed) return;
      if (hasExtraTopic) iopub.unsubscribe('acknowledge');
      else iopub.subscribe('acknowledge');
      hasExtraTopic = !hasExtraTopic;
    });
  }

  /** One message that cannot be handled must not stop those behind it. */
  function deliver(channel: IncomingChannel, message: WireMessage): void {
    try {
      onMessage(channel, message);
    } catch (error) {
      log.error('kernel message not handled', { channel, type: message.type, error: messageOf(error) });
    }
  }

  async function drain(channel: IncomingChannel, socket: AsyncIterable<Buffer[]> & { closed: boolean }): Promise<void> {
    try {
      for await (const frames of socket) {
        if (channel === 'iopub' && options.hasNagle) acknowledge();
        const message = codec.decode(frames);
        if (message !== undefined) deliver(channel, message);
      }
    } catch (error) {
      if (!socket.closed) log.error('kernel channel failed', { channel, error: messageOf(error) });
    }
  }
  for (const [channel, socket] of Object.entries({ ...dealers, iopub }) as [IncomingChannel, Dealer | Subscriber][]) {
    void drain(channel, socket);
  }

  // A zeromq socket takes one send at a time: the next waits for the one before.
  const tails = { shell: Promise.resolve(), control: Promise.resolve(), stdin: Promise.resolve() };
  return {
    send: (channel, type, content) => {
      const { id, frames } = codec.encode(type, content);
      const socket = dealers[channel];
      tails[channel] = tails[channel]
        .then(() => (socket.closed ? undefined : socket.send([...frames])))
        .catch((error: unknown) => {
          if (!socket.closed) log.error('kernel message not sent', { channel, type, error: messageOf(error) });
        });
      return id;
    },
    beat: async () => {
      await heartbeat.send('beat');
      await heartbeat.receive();
    },
    close: () => {
      for (const socket of [shell, control, stdin, iopub, heartbeat]) socket.close();
    },
  };
}
