import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { findFreePort } from '../support/free-port.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly process: ChildProcess;
  readonly client: S3Client;
  /** Makes a bucket of its own for a test and gives its name. */
  makeBucket(): Promise<string>;
}

export interface S3Program {
  readonly name: string;
  /** For `go install`. */
  readonly module: string;
  /** Takes minutes to install. */
  readonly isLarge: boolean;
  args(port: number, dir: string): string[];
}

export const credentials = { accessKeyId: 'showrunner-test', secretAccessKey: 'showrunner-test-secret' };

/** An S3 gateway for production use over a folder: checks signatures, digests and conditions. */
export const versitygw: S3Program = {
  name: 'versitygw',
  module: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0',
  isLarge: true,
  args: (port, dir) => ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', join(dir, 'data')],
};

/** An S3 server for tests that keeps all in memory. */
export const gofakes3: S3Program = {
  name: 'gofakes3',
  module: 'github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0',
  isLarge: false,
  args: (port) => ['-host', `127.0.0.1:${port}`, '-backend', 'memory', '-quiet'],
};

/**
 * Path of the program, on PATH or where `go install` puts it. Where it is missing and `go` is at hand it is installed
 * once, unless that takes minutes (`isLarge`); else the suite is skipped with the reason.
 */
export async function needS3Program(test: Mocha.Context, program: S3Program): Promise<string> {
  const path = findS3Program(program);
  if (path !== undefined) return path;
  if (program.isLarge) skip(test, program, 'not installed');
  test.timeout(longestInstallMs + 10_000);
  const reason = await new Promise<string | undefined>((resolve) => {
    execFile('go', ['install', program.module], { timeout: longestInstallMs }, (error) => resolve(error?.message));
  });
  return findS3Program(program) ?? skip(test, program, reason?.split('\n')[0] ?? 'not where go installs programs');
}

function skip(test: Mocha.Context, program: S3Program, reason: string): never {
  process.stderr.write(`      ${program.name} is missing (${reason}); type: go install ${program.module}\n`);
  return test.skip();
}

function findS3Program({ name }: S3Program): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  folders.push(process.env['GOBIN'] ?? '', join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin'));
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const longestInstallMs = 400_000;
let buckets = 0;

/** Starts the server on 127.0.0.1 with an empty folder and resolves once it answers. */
export async function startS3Server(program: S3Program, path: string): Promise<S3Server> {
  const dir = await createTempDir();
  await mkdir(join(dir.path, 'data'));
  const port = await findFreePort();
  const { accessKeyId, secretAccessKey } = credentials;
  const env = { ...process.env, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey };
  const child = spawn(path, program.args(port, dir.path), { env, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const endpoint = `http://127.0.0.1:${port}`;
  await waitUntil(
    `${program.name} answers on ${port}`,
    () =>
      fetch(endpoint).then(
        () => true,
        () => false,
      ),
    20_000,
  );
  const client = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true });
  return {
    endpoint,
    process: child,
    client,
    makeBucket: async () => {
      const bucket = `titles-${++buckets}`;
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      return bucket;
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      child.kill('SIGKILL');
      await ended;
      await dir[Symbol.asyncDispose]();
    },
  };
}
