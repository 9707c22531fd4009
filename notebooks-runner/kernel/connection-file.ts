import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

/** Where a kernel listens. Source: https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files */
export interface ConnectionInfo {
  readonly transport: 'tcp';
  readonly ip: '127.0.0.1';
  readonly shell_port: number;
  readonly iopub_port: number;
  readonly stdin_port: number;
  readonly control_port: number;
  readonly hb_port: number;
  /** HMAC key: whoever knows it can run code in the kernel. */
  readonly key: string;
  readonly signature_scheme: 'hmac-sha256';
  readonly kernel_name: string;
}

/**
 * Writes a connection file that only its owner can read. Loopback TCP, because the Deno kernel knows no `ipc`
 * transport (it takes the socket path for a host name and exits).
 */
export async function writeConnectionFile(
  path: string,
  kernelName: string,
  ports: readonly number[],
): Promise<ConnectionInfo> {
  const [shell = 0, iopub = 0, stdin = 0, control = 0, heartbeat = 0] = ports;
  const info: ConnectionInfo = {
    transport: 'tcp',
    ip: '127.0.0.1',
    shell_port: shell,
    iopub_port: iopub,
    stdin_port: stdin,
    control_port: control,
    hb_port: heartbeat,
    key: randomBytes(32).toString('hex'),
    signature_scheme: 'hmac-sha256',
    kernel_name: kernelName,
  };
  await writeFile(path, JSON.stringify(info, null, 2), { mode: 0o600, flag: 'wx' });
  return info;
}
