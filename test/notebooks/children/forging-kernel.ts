/**
 * A kernel that answers as its second argument says: `forged` signs with another key, `deaf` never answers, `odd` sends
 * messages that no kernel should.
 */
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

function framesOf(type: unknown, content: unknown, parent: unknown): (string | Buffer)[] {
  const header = { msg_id: String(Math.random()), session: 's', username: 'k', msg_type: type, version: '5.3' };
  return signed([header, parent, {}, content].map((part) => Buffer.from(JSON.stringify(part))));
}

function signed(parts: readonly Buffer[]): (string | Buffer)[] {
  return ['<IDS|MSG>', createHmac('sha256', key).update(Buffer.concat(parts)).digest('hex'), ...parts];
}

async function publishOddities(parent: object): Promise<void> {
  const deep = JSON.parse(`${'['.repeat(3_000)}1${']'.repeat(3_000)}`) as unknown;
  const widget = { comm_id: 'w', target_name: 'jupyter.widget', data: { state: { _model_name: 'M', deep } } };
  for (const [type, content] of [
    ['unheard-of', {}],
    [5, {}],
    [null, null],
    ['stream', null],
    ['stream', { name: 5, text: 7 }],
    ['stream', { name: '__proto__', text: 'proto' }],
    ['display_data', { data: null, metadata: [] }],
    ['display_data', { data: { 'text/plain': ['a', 'b'], 'image/png': 5 }, metadata: 'x', transient: null }],
    ['display_data', { data: { 'text/plain': 'old' }, metadata: {}, transient: { display_id: '__proto__' } }],
    ['update_display_data', { data: { 'text/plain': 'new' }, metadata: {}, transient: { display_id: '__proto__' } }],
    ['display_data', { data: { 'application/json': deep }, metadata: { deep } }],
    ['execute_input', { execution_count: -7 }],
    ['execute_result', { execution_count: 1e40, data: {}, metadata: {} }],
    ['error', { ename: {}, evalue: [], traceback: 'x' }],
    ['comm_open', widget],
    ['comm_open', { comm_id: '__proto__', target_name: 'jupyter.widget', data: null }],
    ['comm_msg', { comm_id: '__proto__', data: { state: [], buffer_paths: 'x' } }],
    ['status', null],
  ]) {
    await iopub.send(framesOf(type, content, parent));
  }
  const [header, none] = [{ msg_id: 'b', msg_type: 'stream' }, {}].map((part) => Buffer.from(JSON.stringify(part)));
  if (header === undefined || none === undefined) return;
  const noUtf8 = Buffer.concat([
    Buffer.from('{"name":"stdout","text":"'),
    Buffer.from([0xff, 0xc3]),
    Buffer.from('"}'),
  ]);
  await iopub.send(signed([header, Buffer.from(JSON.stringify(parent)), none, noUtf8]));
  await iopub.send(signed([header, none, none, Buffer.from('{"cut')]));
  for (const frames of [['<IDS|MSG>'], ['x'], ['<IDS|MSG>', 'no signature', '{}', '{}', '{}', '{}']])
    await iopub.send(frames);
}

void (async () => {
  for await (const frames of heartbeat) await heartbeat.send(frames);
})();
for await (const [identity, , , header] of shell) {
  if (behaviour === 'deaf' || identity === undefined || header === undefined) continue;
  const parent = JSON.parse(header.toString()) as { msg_type: string };
  const isOdd = behaviour === 'odd' && parent.msg_type === 'execute_request';
  const answer = { status: 'ok', ...(isOdd ? { execution_count: 1e40, payload: [null, { source: 5 }] } : {}) };
  if (isOdd) await publishOddities(parent);
  await iopub.send(framesOf('status', { execution_state: 'idle' }, parent));
  await shell.send([identity, ...framesOf(parent.msg_type.replace('request', 'reply'), answer, parent)]);
}
