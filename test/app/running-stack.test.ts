import assert from 'node:assert/strict';
import type { DescMethod } from '@bufbuild/protobuf';
import { Health, HealthCheckResponse_ServingStatus as Serving } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { Notification } from '../../proto/gen/showrunner/notifications/v1/notification_pb.ts';
import type { SubscribeResponse } from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { type Span, TraceService } from '../../proto/gen/showrunner/telemetry/v1/trace_service_pb.ts';
import { callableServices } from '../../server/cli/services.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { openRawCall } from '../rpc/fixtures/raw-call.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { type LogLine, longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { startShowrunner } from '../support/showrunner.ts';
import { waitUntil } from '../support/wait-until.ts';
import { callEmpty, readServedMethods } from './fixtures/served-methods.ts';
import { partsOf, startTranscode, untilSucceeded } from './fixtures/titles.ts';

const patienceMs = 90_000;
/** A stream of events to come has no end of its own. */
const streamMs = 2_000;

/** On a slow machine heartbeats come before it. */
async function nextNotification(frames: AsyncIterable<SubscribeResponse>): Promise<Notification> {
  for await (const { frame } of frames) if (frame.case === 'notification') return frame.value;
  assert.fail('the stream has ended');
}

describe('the running stack', function () {
  this.timeout(longestTestMs);

  let server: RunningServer;
  let methods: DescMethod[];
  before(async () => {
    server = await startServer({ settings: { SHOWRUNNER_API_KEYS: 'tv:the-key-of-a-tv:' } });
    methods = await readServedMethods(server.address);
  });
  after(() => server[Symbol.asyncDispose]());

  const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`;
  const withKey = (key: string) => ({ address: server.address, metadata: { 'x-api-key': key } });
  const calls = (isIt: (line: LogLine) => boolean) =>
    server.logs().filter((line) => line.message === 'call' && isIt(line));

  it('serves what the command line can call, over reflection that needs no key', () => {
    const served = new Set(methods.map(({ parent }) => parent.typeName));
    assert.deepEqual([...served].sort(), callableServices.map(({ typeName }) => typeName).sort());
    assert.ok(methods.length > 40, `${methods.length} methods`);
  });

  it('says that it serves to whoever asks', async () => {
    using health = createRpcClient(Health, { address: server.address });
    for (const service of ['', ...callableServices.map(({ typeName }) => typeName)]) {
      assert.equal((await health.check({ service })).status, Serving.SERVING, service);
    }
  });

  it('answers an administrator on every method, through the filters', async () => {
    const refusals = new Set<number>([
      Code.UNIMPLEMENTED,
      Code.UNKNOWN,
      Code.INTERNAL,
      Code.UNAVAILABLE,
      Code.UNAUTHENTICATED,
      Code.PERMISSION_DENIED,
    ]);
    await Promise.all(
      methods.map(async (method) => {
        const isStream = method.methodKind === 'server_streaming';
        try {
          await callEmpty(method, withKey(server.apiKey), isStream ? streamMs : patienceMs);
        } catch (error) {
          assert.ok(error instanceof AppError);
          const isLate = error.code === Code.DEADLINE_EXCEEDED;
          assert.ok(isLate ? isStream : !refusals.has(error.code), `${pathOf(method)}: ${error.message}`);
        }
      }),
    );
    const unseen = () => {
      const seen = new Set(calls((line) => line['principal'] === 'key:local-admin').map((line) => line['method']));
      return methods.map(pathOf).filter((path) => !seen.has(path));
    };
    await waitUntil('every call is in the access log', () => unseen().length === 0, patienceMs).catch(() => {});
    assert.deepEqual(unseen(), []);
  });

  it('refuses every method to a caller without a key or with a wrong one, saying why', async () => {
    await Promise.all(
      methods.map(async (method) => {
        const { address } = server;
        const anonymous = callEmpty(method, { address }, patienceMs);
        await rejectsWith(anonymous, Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
      }),
    );
    using wrong = createRpcClient(JobService, withKey('not-the-key'));
    await rejectsWith(wrong.listJobs({}), Code.UNAUTHENTICATED, 'API_KEY_INVALID');
  });

  it('gives a key of the settings what its scopes allow', async () => {
    using jobs = createRpcClient(JobService, withKey('the-key-of-a-tv'));
    await jobs.listJobs({});
    using traces = createRpcClient(TraceService, withKey('the-key-of-a-tv'));
    await rejectsWith(traces.listTraces({}), Code.PERMISSION_DENIED, 'SCOPE_MISSING');
  });

  it('lets the filters see calls to methods that it does not have', async () => {
    const path = '/showrunner.jobs.v1.JobService/Nothing';
    const status = async (headers: Record<string, string>) => {
      await using raw = openRawCall(server.address, path, headers);
      raw.stream.resume();
      raw.stream.end();
      return Number((await raw.status)['grpc-status']);
    };
    assert.equal(await status({}), Code.UNAUTHENTICATED);
    assert.equal(await status({ 'x-api-key': server.apiKey }), Code.UNIMPLEMENTED);
    const lines = () => calls((line) => line['method'] === path);
    await waitUntil('both calls are in the access log', () => lines().length === 2, patienceMs);
    assert.deepEqual(
      lines().map((line) => [line['code'], line['reason'], line['principal']]),
      [
        ['UNAUTHENTICATED', 'CREDENTIALS_MISSING', undefined],
        ['UNIMPLEMENTED', 'METHOD_UNKNOWN', 'key:local-admin'],
      ],
    );
  });

  it('takes one more worker, which goes when it is told to', async () => {
    const worker = startShowrunner(['worker'], { SHOWRUNNER_STATE_DIR: server.stateDir });
    await waitUntil('it takes jobs', () => worker.errors().includes('worker takes jobs'), patienceMs);
    worker.process.kill('SIGTERM');
    assert.equal(await worker.ended, 0);
    assert.equal(server.workers().length, 2);
  });

  it('carries one trace from the call over queue and workers to the push', async () => {
    const takesJobs = () => server.logs().filter(({ message }) => message === 'worker takes jobs').length === 2;
    await waitUntil('both workers take jobs', takesJobs, patienceMs);
    const profile = 'profiles/42';
    const leave = new AbortController();
    const frames = server.clients.notifications.subscribe(
      { device: { device: 'devices/tv', profile, category: 'tv' } },
      { signal: leave.signal },
    );
    assert.equal((await frames.next()).value?.frame.case, 'hello');
    const name = await startTranscode(server, 'titles/traced', { notify: profile });
    const { traceId } = await untilSucceeded(server, name);
    const notification = await nextNotification(frames);
    assert.deepEqual([notification.kind, notification.subject], ['title.available', 'titles/traced']);
    assert.equal(notification.traceparent.split('-')[1], traceId);
    leave.abort();

    // Spans of workers come a moment after the job's end.
    let spans: readonly Span[] = [];
    const named = (span: string) => spans.filter((each) => each.name === span);
    const hasAll = async () => {
      spans = (await server.clients.traces.getTrace({ traceId })).spans;
      // The title's job runs three times: it leaves its worker while encodes run and while thumbnails are made.
      return named('job encode-chunk').length === 3 && named('job transcode').length === 3;
    };
    await waitUntil('all spans are there', hasAll, patienceMs);
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    const wayTo = (span: Span | undefined): string[] => {
      if (span === undefined) return [];
      return [...wayTo(byId.get(span.parentSpanId)), `${span.name} in ${span.process.replace(/-\d+$/, '')}`];
    };
    const call = 'grpc.showrunner.jobs.v1.JobService/CreateJob in server';
    const [push] = named('notification.push');
    assert.deepEqual(wayTo(push), [
      call,
      'publish transcode in server',
      'rule tell-title-available in server',
      'notification.push in server',
    ]);
    for (const chunk of named('job encode-chunk')) {
      assert.deepEqual(wayTo(chunk), [
        call,
        'add transcode.transcode in server',
        'job transcode in worker',
        'addBulk encode in worker',
        'job encode-chunk in worker',
      ]);
    }
    const root = spans.find((span) => `${span.name} in ${span.process}` === call);
    assert.equal(root?.kind, 'server', 'without its loader hook OpenTelemetry sees no call and says nothing');
    const encoders = [...named('job encode-chunk'), ...named('job encode-audio')].map((span) => span.process);
    assert.deepEqual([...new Set(encoders)].sort(), ['worker-1', 'worker-2']);
    assert.equal((await partsOf(server, name)).length, 6);
    assert.ok(
      calls((line) => line['trace_id'] === traceId).some((line) => String(line['method']).endsWith('CreateJob')),
    );
  });
});
