import assert from 'node:assert/strict';
import { createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { NotificationService } from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { longestTestMs, startServer } from '../support/run-server.ts';
import { waitUntil } from '../support/wait-until.ts';
import { page } from './bed/web-bed.ts';

describe('a server with a gRPC-web listener', function () {
  this.timeout(longestTestMs);

  it('serves pages, and sends them away before it ends', async () => {
    const settings = { SHOWRUNNER_WEB_ADDRESS: '127.0.0.1:0', SHOWRUNNER_WEB_ORIGINS: page };
    await using server = await startServer({ workers: 0, settings });
    const address = server.logs().find(({ message }) => message === 'serving')?.['web_address'];
    const transport = createGrpcWebTransport({ baseUrl: `http://${address}` });
    const headers = { 'x-api-key': server.apiKey };
    const device = { device: 'browser', profile: 'profiles/1', category: 'browser' };
    const frames: (string | undefined)[] = [];
    const reading = (async () => {
      const subscribed = createClient(NotificationService, transport).subscribe({ device }, { headers });
      for await (const { frame } of subscribed) frames.push(frame.case);
    })();
    await waitUntil('the page is online', () => frames.length > 0);
    assert.equal(await server.kill('SIGTERM'), 0);
    await reading;
    assert.deepEqual([frames[0], frames.at(-1)], ['hello', 'goAway']);
    const failures = server.logs().filter(({ level }) => level === 'error' || level === 'warn');
    assert.deepEqual(failures, []);
  });
});
