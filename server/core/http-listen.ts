import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Code } from './codes.ts';
import { AppError, messageOf } from './errors.ts';

/** Who listens, as the errors say it. */
export interface HttpListener {
  /** e.g. `The HTTP origin`. */
  readonly name: string;
  /** The setting of its address, e.g. `SHOWRUNNER_ORIGIN_ADDRESS`. */
  readonly setting: string;
}

/** FAILED_PRECONDITION: the address is taken, or cannot be listened on at all. */
const addressUnusable = ({ name, setting }: HttpListener, address: string, cause: Error) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'code' in cause && cause.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'ADDRESS_UNUSABLE',
    message: `${name} cannot listen on ${address} (${messageOf(cause)}); set ${setting} (port 0 takes a free one).`,
    metadata: { address },
    cause,
  });

/**
 * Listens on `host:port` (IPv6 hosts in brackets, port 0 takes a free one) and gives the same with the port that is
 * bound. Throws ADDRESS_IN_USE or ADDRESS_UNUSABLE.
 */
export function listenHttp(server: Server, address: string, listener: HttpListener): Promise<string> {
  const split = address.lastIndexOf(':');
  const host = address.slice(0, split).replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => reject(addressUnusable(listener, address, error));
    server.once('error', refuse);
    server.listen(Number(address.slice(split + 1)), host, () => {
      server.off('error', refuse);
      const { address: bound, port, family } = server.address() as AddressInfo;
      resolve(`${family === 'IPv6' ? `[${bound}]` : bound}:${port}`);
    });
  });
}
