import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { type EchoFixture, startEcho } from './fixtures/echo-server.ts';

const cacheDir = join(import.meta.dirname, '../../node_modules/.cache/grpcurl');
const grpcurl = join(cacheDir, 'grpcurl');
const module = 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3';

/** Why the real grpcurl cannot be used here, undefined when it can. Built once, kept in the cache folder. */
function whyMissing(): string | undefined {
  if (existsSync(grpcurl)) return undefined;
  if (spawnSync('go', ['version']).status !== 0) return 'grpcurl is not built and `go` is not on PATH';
  try {
    const env = { ...process.env, GOBIN: cacheDir };
    execFileSync('go', ['install', module], { env, stdio: 'pipe', timeout: 300_000 });
    return undefined;
  } catch (error) {
    return `go install ${module} failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(grpcurl, ['-plaintext', '-max-time', '10', ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('rpc with grpcurl', () => {
  let echo: EchoFixture;

  before('the real grpcurl is needed', async function () {
    this.timeout(310_000);
    const reason = whyMissing();
    if (reason !== undefined) {
      if (this.test) this.test.title += ` (skipped: ${reason})`;
      this.skip();
    }
    const fault = { code: Code.FAILED_PRECONDITION, reason: 'NOT_YET', message: 'not yet', retryAfterMs: 2_000 };
    echo = await startEcho(
      {
        join: () =>
          Promise.reject(
            new AppError({
              ...fault,
              metadata: { step: 'encode' },
              fields: [{ field: 'text', description: 'is empty' }],
            }),
          ),
      },
      { reflection: true, health: true },
    );
  });

  after(async () => {
    await echo?.[Symbol.asyncDispose]();
  });

  it('lists services and methods', async () => {
    const { stdout } = await run(echo.server.address, 'list');
    assert.match(stdout, /^grpc\.health\.v1\.Health$/m);
    assert.match(stdout, /^test\.echo\.v1\.EchoService$/m);
    const methods = await run(echo.server.address, 'list', 'test.echo.v1.EchoService');
    assert.match(methods.stdout, /^test\.echo\.v1\.EchoService\.Chat$/m);
  });

  it('describes a service and a message', async () => {
    const service = await run(echo.server.address, 'describe', 'test.echo.v1.EchoService');
    assert.match(service.stdout, /rpc Repeat \( \.test\.echo\.v1\.EchoRequest \) returns \( stream /);
    const message = await run(echo.server.address, 'describe', 'test.echo.v1.EchoRequest');
    assert.match(message.stdout, /int32 count = 2;/);
  });

  it('calls a unary method', async () => {
    const { stdout, code } = await run('-d', '{"text":"hi"}', echo.server.address, 'test.echo.v1.EchoService/Echo');
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), { text: 'hi' });
  });

  it('calls a server stream and a bidirectional stream', async () => {
    const repeat = await run('-d', '{"text":"r","count":3}', echo.server.address, 'test.echo.v1.EchoService/Repeat');
    assert.equal(repeat.stdout.match(/"text": "r"/g)?.length, 3);
    const chat = await run('-d', '{"text":"a"}{"text":"b"}', echo.server.address, 'test.echo.v1.EchoService/Chat');
    assert.match(chat.stdout, /"a"[\s\S]*"b"/);
  });

  it('checks health', async () => {
    const { stdout } = await run(echo.server.address, 'grpc.health.v1.Health/Check');
    assert.deepEqual(JSON.parse(stdout), { status: 'SERVING' });
  });

  it('prints the details of an error', async () => {
    const { stderr, code } = await run('-d', '{}', echo.server.address, 'test.echo.v1.EchoService/Join');
    assert.equal(code, 64 + Code.FAILED_PRECONDITION);
    for (const part of ['FailedPrecondition', 'not yet', 'NOT_YET', 'showrunner.dev', '"step"', 'is empty', '2s']) {
      assert.ok(stderr.includes(part), `missing ${part} in:\n${stderr}`);
    }
    assert.match(stderr, /google\.rpc\.RequestInfo/);
  });
});
