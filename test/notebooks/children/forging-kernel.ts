/** A kernel that answers as its second argument says: `forged` signs with another key, `deaf` never answers. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Publisher, Reply, Router } from 'zeromq';

const [connectionPath = '', behaviour = ''] = process.argv.slice(2);
const connection = JSON.parse(readFileSync(connectionPath, 'utf8')) as Record<string, string | number>;
const at = (port: string) => `tcp://127.0.0.1:${connection[port]}`;
const key = behaviour === 'forged' ? 'somebody else' : String(connection['key']);

const shell = new Router();
const iopub = new Publisher();
const heartbeat = new Reply();
await shell.bind(at('shell_port'));
await iopub.bind(at('iopub_port'));
await heartbeat.bind(at('hb_port'));

function framesOf(type: string, content: object, parent: unknown): string[] {
  const header = { msg_id: String(Math.random()), session: 's', username: 'k', msg_type: type, version: '5.3' };
  const parts = [header, parent, {}, content].map((part) => JSON.stringify(part));
  return ['<IDS|MSG>', createHmac('sha256', key).update(parts.join('')).digest('hex'), ...parts];
}

void (async () => {
  for await (const frames of heartbeat) await heartbeat.send(frames);
})();
for await (const [identity, , , header] of shell) {
  if (behaviour === 'deaf' || identity === undefined || header === undefined) continue;
  const parent = JSON.parse(header.toString()) as { msg_type: string };
  await iopub.send(framesOf('status', { execution_state: 'idle' }, parent));
  await shell.send([identity, ...framesOf(parent.msg_type.replace('request', 'reply'), { status: 'ok' }, parent)]);
}
