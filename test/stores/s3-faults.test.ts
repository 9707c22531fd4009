import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { type LogFields, silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { openS3Objects } from '../../server/stores/objects/s3-objects.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { findFreePort } from '../support/free-port.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { openS3Fixture, type S3FixtureOptions, setAwsEnvironment } from './s3-fixture.ts';
import { credentials } from './s3-server.ts';

interface Exchange {
  /** e.g. `PUT k` */
  readonly what: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** What S3 answers to an opening store in whose bucket all is well. */
const emptyList = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
const noUploads = '<ListMultipartUploadsResult></ListMultipartUploadsResult>';

/** Answers an opening as a sound and empty bucket does; true when it did. */
function answerOpening({ what, response }: Exchange): boolean {
  if (/^GET \?.*list-type=2/.test(what)) response.end(emptyList);
  else if (/^GET \?.*uploads=/.test(what)) response.end(noUploads);
  else if (what.startsWith('PUT .showrunner/')) refuse(response, 412, 'PreconditionFailed');
  else return false;
  return true;
}

function refuse(response: ServerResponse, status: number, code: string): void {
  const isHead = response.req.method === 'HEAD';
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(
    isHead ? undefined : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>said so</Message></Error>`,
  );
}

/** An HTTP server that answers as the test says: for what no real S3 does on demand. */
async function startScriptedS3(answer: (exchange: Exchange) => void) {
  const server = createServer((request, response) => {
    request.resume();
    request.on('error', () => {});
    // A write is answered once its body is there, as S3 does.
    request.on('end', () => {
      const path = decodeURIComponent(request.url ?? '').replace(/^\/bucket\/?/, '');
      answer({ what: `${request.method} ${path.replace(/\?x-id=\w+$/, '')}`, request, response });
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('S3 objects and faults', () => {
  let restoreEnvironment: () => void;
  beforeEach(() => {
    restoreEnvironment = setAwsEnvironment();
  });
  afterEach(() => restoreEnvironment());

  const open = (endpoint: string, options: Partial<S3FixtureOptions> = {}) =>
    openS3Fixture({ endpoint, bucket: 'bucket', prefix: '', ...options });

  it('names what is wrong with the bucket, the region, the key or the server, and never the secret', async () => {
    const cases = [
      [404, 'NoSuchBucket', Code.FAILED_PRECONDITION, 'OBJECTS_BUCKET_MISSING'],
      [403, 'AccessDenied', Code.FAILED_PRECONDITION, 'OBJECTS_ACCESS_DENIED'],
      [403, 'SignatureDoesNotMatch', Code.FAILED_PRECONDITION, 'OBJECTS_ACCESS_DENIED'],
      [301, 'PermanentRedirect', Code.FAILED_PRECONDITION, 'OBJECTS_REGION_WRONG'],
      [400, 'AuthorizationHeaderMalformed', Code.FAILED_PRECONDITION, 'OBJECTS_REGION_WRONG'],
      [507, 'XMinioStorageFull', Code.RESOURCE_EXHAUSTED, 'OBJECTS_FULL'],
      [500, 'InternalError', Code.UNAVAILABLE, 'OBJECTS_UNAVAILABLE'],
      [501, 'NotImplemented', Code.INTERNAL, 'OBJECTS_REFUSED'],
    ] as const;
    for (const [status, code, grpc, reason] of cases) {
      const lines: unknown[] = [];
      const keep = (message: string, fields?: LogFields) => void lines.push([message, fields]);
      await using server = await startScriptedS3(({ response }) => refuse(response, status, code));
      const log = { ...silentLogger, info: keep, warn: keep, error: keep };
      const error = await rejectsWith(open(server.endpoint, { log, retries: { attempts: 2 } }), grpc, reason);
      assert.equal(error.metadata['bucket'], 'bucket');
      assert.ok(!JSON.stringify([error, error.message, error.cause, lines]).includes(credentials.secretAccessKey));
    }
  });

  it('says that its local folder cannot be made', async () => {
    await using temp = await createTempDir();
    const file = join(temp.path, 'file');
    await writeFile(file, '');
    const opening = openS3Objects({
      location: { bucket: 'bucket', prefix: '', endpoint: 'http://127.0.0.1:1', region: undefined, pathStyle: true },
      dir: join(file, 'below'),
      ...{ clock: createFakeClock(), random: createSeededRandom(1), log: silentLogger },
    });
    const error = await rejectsWith(opening, Code.UNAVAILABLE, 'DISK_FAILED');
    assert.match(error.message, /ENOTDIR/);
  });

  it('says that there are no credentials', async () => {
    setAwsEnvironment(false);
    const opening = open(`http://127.0.0.1:${await findFreePort()}`);
    await rejectsWith(opening, Code.FAILED_PRECONDITION, 'OBJECTS_NO_CREDENTIALS');
  });

  it('is unavailable, after a bounded number of attempts, when nobody listens', async () => {
    const error = await rejectsWith(
      open(`http://127.0.0.1:${await findFreePort()}`, { retries: { attempts: 3 } }),
      Code.UNAVAILABLE,
      'OBJECTS_UNAVAILABLE',
    );
    assert.equal(error.metadata['s3_code'], 'ECONNREFUSED');
  });

  it('refuses a server that ignores the condition of a write', async () => {
    await using server = await startScriptedS3((exchange) => {
      if (exchange.what.startsWith('PUT ')) exchange.response.end();
      else answerOpening(exchange);
    });
    await rejectsWith(open(server.endpoint), Code.FAILED_PRECONDITION, 'OBJECTS_UNCONDITIONAL');
  });

  it('goes on after throttling, 5xx and cut connections, with pauses that grow within their bound', async () => {
    const troubles = [
      (response: ServerResponse) => refuse(response, 503, 'SlowDown'),
      (response: ServerResponse) => refuse(response, 429, 'TooManyRequests'),
      (response: ServerResponse) => response.destroy(),
      (response: ServerResponse) => refuse(response, 500, 'InternalError'),
    ];
    const pauses: number[] = [];
    const clock = {
      ...createFakeClock(),
      sleep: async (ms: number) => void pauses.push(ms),
    };
    let puts = 0;
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      if (exchange.what === 'PUT k') {
        puts++;
        const trouble = troubles.shift();
        if (trouble === undefined) exchange.response.end();
        else trouble(exchange.response);
      } else refuse(exchange.response, 404, 'NotFound');
    });
    await using fixture = await open(server.endpoint, { clock, retries: { baseMs: 200, mostMs: 500 } });
    await fixture.store.put('k', Buffer.from('body'));
    assert.equal(puts, 5);
    assert.equal(pauses.length, 4);
    for (const [index, bound] of [200, 400, 500, 500].entries()) {
      const pause = pauses[index] ?? 0;
      assert.ok(pause >= bound / 2 && pause <= bound, `${pause} of ${bound}`);
    }
  });

  it('gives up on a server that takes the request and stays silent, and hears an abort at once', async () => {
    await using server = await startScriptedS3((exchange) => void answerOpening(exchange));
    const retries = { attempts: 2, attemptMs: 250 };
    await using fixture = await open(server.endpoint, { retries });
    await rejectsWith(fixture.store.read('k'), Code.UNAVAILABLE, 'OBJECTS_UNAVAILABLE');
    await using patient = await open(server.endpoint);
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('caller left')), 20);
    const startedAt = performance.now();
    await assert.rejects(patient.store.read('k', { signal: abort.signal }), { message: 'caller left' });
    assert.ok(performance.now() - startedAt < 5_000);
  });

  it('hears an abort and a close in the pause between two attempts', async () => {
    let refusals = 0;
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      refusals++;
      refuse(exchange.response, 503, 'SlowDown');
    });
    const retries = { baseMs: 60_000, mostMs: 60_000 };
    await using fixture = await open(server.endpoint, { retries });
    const abort = new AbortController();
    const read = assert.rejects(fixture.store.read('k', { signal: abort.signal }), { message: 'caller left' });
    await waitUntil('the first attempt was refused', () => refusals === 1);
    abort.abort(new Error('caller left'));
    await read;
    const second = rejectsWith(fixture.store.read('k'), Code.UNAVAILABLE, 'STORE_CLOSED');
    await waitUntil('the first attempt was refused', () => refusals === 2);
    await fixture.store.close();
    await second;
  });

  it('knows its own object when the answer to a conditional put was lost, and that of another writer', async () => {
    let stored: IncomingMessage['headers'] = {};
    let puts = 0;
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      const { what, request, response } = exchange;
      if (what.startsWith('PUT ')) {
        assert.equal(request.headers['if-none-match'], '*');
        if (puts++ % 2 === 0) {
          if (what === 'PUT own') stored = request.headers;
          response.destroy();
        } else refuse(response, 412, 'PreconditionFailed');
      } else if (what === 'HEAD own' || what === 'HEAD other') {
        const putId = what === 'HEAD own' ? stored['x-amz-meta-put-id'] : 'of-another-writer';
        response.writeHead(200, { 'content-length': 4, etag: '"e"', 'x-amz-meta-put-id': putId ?? '' }).end();
      } else refuse(response, 404, 'NotFound');
    });
    await using fixture = await open(server.endpoint);
    const { store } = fixture;
    assert.equal((await store.put('own', Buffer.from('body'), { ifAbsent: true })).bytes, 4);
    const late = store.put('other', Buffer.from('body'), { ifAbsent: true });
    await rejectsWith(late, Code.ALREADY_EXISTS, 'OBJECT_EXISTS');
    assert.equal(puts, 4);
  });

  it('tries again when a rival write is under way, and gives up in the end', async () => {
    let rivals = 2;
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      if (!exchange.what.startsWith('PUT ')) refuse(exchange.response, 404, 'NotFound');
      else if (rivals-- > 0) refuse(exchange.response, 409, 'ConditionalRequestConflict');
      else exchange.response.end();
    });
    await using fixture = await open(server.endpoint);
    await fixture.store.put('k', Buffer.from('body'), { ifAbsent: true });
    rivals = 1_000;
    const hopeless = fixture.store.put('k', Buffer.from('body'), { ifAbsent: true });
    await rejectsWith(hopeless, Code.UNAVAILABLE, 'OBJECTS_UNAVAILABLE');
  });

  it('goes on at the next byte of the same body when a connection breaks in the middle of it', async () => {
    const whole = Buffer.alloc(100_000, 'showrunner');
    const ranges: (string | undefined)[] = [];
    let etag = '"first"';
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      const { what, request, response } = exchange;
      if (what !== 'GET k' && what !== 'HEAD k') return refuse(response, 404, 'NotFound');
      const sha = { 'x-amz-meta-sha256': '0'.repeat(64) };
      if (what === 'HEAD k') return void response.writeHead(200, { 'content-length': 100_000, etag, ...sha }).end();
      ranges.push(request.headers.range);
      const match = request.headers['if-match'];
      if (match !== undefined && match !== etag) return refuse(response, 412, 'PreconditionFailed');
      const start = Number(/=(\d+)-/.exec(request.headers.range ?? '=0-')?.[1]);
      const head = { etag, 'content-length': whole.length - start, 'content-range': `bytes ${start}-99999/100000` };
      response.writeHead(start === 0 ? 200 : 206, head);
      if (ranges.length % 3 === 0) response.end(whole.subarray(start));
      else response.write(whole.subarray(start, start + 30_000), () => setImmediate(() => response.destroy()));
    });
    await using fixture = await open(server.endpoint);
    const { store } = fixture;
    assert.deepEqual(Buffer.from(await store.read('k')), whole);
    assert.equal(ranges.length, 3);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? '', /^bytes=[1-9]\d*-$/);
    const { body } = await store.open('k');
    const reading = (async () => {
      for await (const _chunk of body) etag = '"second"';
    })();
    await rejectsWith(reading, Code.ABORTED, 'OBJECT_CHANGED');
  });

  it('asks again when an answer mixes two bodies, as a gateway over a folder may', async () => {
    let heads = 0;
    await using server = await startScriptedS3((exchange) => {
      if (answerOpening(exchange)) return;
      const torn = ++heads < 3;
      const about = { etag: '"e"', 'x-amz-meta-sha256': 'a'.repeat(64), 'x-amz-meta-bytes': '7' };
      exchange.response.writeHead(200, { ...about, 'content-length': torn ? 9 : 7 }).end();
    });
    await using fixture = await open(server.endpoint);
    assert.equal((await fixture.store.stat('k'))?.bytes, 7);
    assert.equal(heads, 3);
  });
});
