import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';

type RecordType = 'A' | 'AAAA';

/** A DNS server on a free UDP port. `answer` gives the addresses of any name; undefined = SERVFAIL. */
export async function startNameServer(answer: (type: RecordType) => readonly string[] | undefined) {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5;
    const addresses = answer(query.readUInt16BE(end - 4) === 1 ? 'A' : 'AAAA');
    const head = Buffer.from(query.subarray(0, 12));
    // A response, with recursion; SERVFAIL without addresses.
    head.writeUInt16BE(addresses === undefined ? 0x8182 : 0x8180, 2);
    head.writeUInt16BE(addresses?.length ?? 0, 6);
    head.fill(0, 8);
    const records = (addresses ?? []).map(recordOf);
    socket.send(Buffer.concat([head, query.subarray(12, end), ...records]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

/** A resource record of the name asked for, for a minute. */
function recordOf(address: string): Buffer {
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(isIPv4(address) ? 1 : 28, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(60, 6);
  record.writeUInt16BE(bytes.length, 10);
  return Buffer.concat([record, bytes]);
}

function ipv6Bytes(address: string): Buffer {
  const [before = '', after = ''] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [first, last] = [groups(before), groups(after)];
  const all = [...first, ...new Array(8 - first.length - last.length).fill('0'), ...last];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
