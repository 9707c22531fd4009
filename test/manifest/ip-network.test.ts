import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { createSeededRandom } from '../../server/core/random.ts';
import { addressOfPeer, longestMatch, parseIpAddress, parseIpNetwork } from '../../server/manifest/ip-network.ts';

const address = (text: string) => parseIpAddress(text) ?? assert.fail(`${text} is no address`);
const network = (text: string) => parseIpNetwork(text) ?? assert.fail(`${text} is no network`);

describe('IP networks', () => {
  it('reads addresses of both families, mapped ones as IPv4', () => {
    assert.deepEqual(address('192.0.2.1'), { family: 4, value: 0xc0000201n });
    assert.deepEqual(address('::1'), { family: 6, value: 1n });
    assert.deepEqual(address('2001:db8::ff:0'), { family: 6, value: 0x20010db8_0000_0000_0000_0000_00ff_0000n });
    assert.deepEqual(address('::ffff:192.0.2.1'), address('192.0.2.1'));
    assert.deepEqual(address('::ffff:c000:201'), address('192.0.2.1'));
    assert.deepEqual(address('fe80::1%eth0'), address('fe80::1'));
    for (const text of ['', 'host', '1.2.3', '1.2.3.256', '::g', '1.2.3.4/8'])
      assert.equal(parseIpAddress(text), undefined, text);
  });

  it('reads networks, drops the bits behind the prefix and refuses others', () => {
    assert.deepEqual(network('192.0.2.77/24'), network('192.0.2.0/24'));
    assert.deepEqual(network('::ffff:192.0.2.0/120'), network('192.0.2.0/24'));
    assert.equal(network('0.0.0.0/0').bits, 0);
    const bad = [
      '192.0.2.0',
      '192.0.2.0/33',
      '192.0.2.0/-1',
      '192.0.2.0/08',
      '2001:db8::/129',
      'x/8',
      '1.2.3.4/8/8',
      '::ffff:1.2.3.4/95',
    ];
    for (const text of bad) assert.equal(parseIpNetwork(text), undefined, text);
  });

  it('finds the longest prefix, and none across families', () => {
    const networks = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.3/32', '2001:db8::/32'].map(network);
    const longest = (text: string) => longestMatch(networks, address(text));
    assert.deepEqual(['10.1.2.3', '10.1.9.9', '10.9.9.9', '11.0.0.1'].map(longest), [32, 16, 8, 0]);
    assert.deepEqual(['2001:db8::1', '2001:db9::1'].map(longest), [32, -1]);
  });

  it('agrees with Node on random addresses and networks', () => {
    const random = createSeededRandom(3);
    const part = (below: number) => Math.floor(random.next() * below);
    const texts = {
      // Few values, so that many match.
      ipv4: () => [10, part(2), part(4), part(256)].join('.'),
      ipv6: () => `2001:db8:${part(2)}:${part(4).toString(16)}::${part(65_536).toString(16)}`,
    };
    for (let round = 0; round < 3_000; round++) {
      const family = random.next() < 0.5 ? 'ipv4' : 'ipv6';
      const [base, bits, probe] = [texts[family](), part(family === 'ipv4' ? 33 : 129), texts[family]()];
      const list = new BlockList();
      list.addSubnet(base, bits, family);
      const isInside = longestMatch([network(`${base}/${bits}`)], address(probe)) === bits;
      assert.equal(isInside, list.check(probe, family), `${probe} in ${base}/${bits}`);
    }
  });

  it('takes the address out of a peer', () => {
    assert.deepEqual(addressOfPeer('127.0.0.1:5000'), address('127.0.0.1'));
    assert.deepEqual(addressOfPeer('[2001:db8::1]:443'), address('2001:db8::1'));
    assert.deepEqual(addressOfPeer('ipv4:192.0.2.1:80'), address('192.0.2.1'));
    for (const peer of ['', 'unknown', 'unix:/run/x.sock', '%zz:1']) assert.equal(addressOfPeer(peer), undefined, peer);
  });
});
