import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnv, type RunningStack } from './running-stack.ts';

const root = join(import.meta.dirname, '../../..');
/** Where test/rpc/grpcurl.test.ts keeps the one it builds. */
const builtGrpcurl = join(root, 'node_modules/.cache/grpcurl/grpcurl');

/** Path of grpcurl; undefined when this machine has none. */
function findGrpcurl(): string | undefined {
  if (existsSync(builtGrpcurl)) return builtGrpcurl;
  return spawnSync('grpcurl', ['-version']).status === 0 ? 'grpcurl' : undefined;
}

/** A program that the example calls and this machine does not have; the examples need no other than these two. */
export function missingProgram(commands: string): string | undefined {
  if (/\bgrpcurl /.test(commands) && findGrpcurl() === undefined) return 'grpcurl';
  if (/\bcurl /.test(commands) && spawnSync('curl', ['--version']).status !== 0) return 'curl';
  return undefined;
}

export interface Ended {
  readonly code: number | null;
  /** Standard output and error as they came, with the addresses that the pages use. */
  readonly output: string;
}

/** A shell in which one page's examples run one after another: variables (in lower case) stay. */
export interface PageShell {
  run(commands: string, timeoutMs: number): Promise<Ended>;
}

/** What stands in the pages, and what it is in this run. */
function placesOf(stack: RunningStack): readonly (readonly [page: string, real: string])[] {
  return [
    ['127.0.0.1:7400', stack.address],
    ['127.0.0.1:7401', stack.originAddress],
    ['127.0.0.1:7402', stack.webAddress],
    ['.showrunner/', `${stack.stateDir}/`],
  ];
}

/** `npx showrunner` is the command line of this tree, in a bash that stops at the first failed command. */
export function createPageShell(stack: RunningStack): PageShell {
  const places = placesOf(stack);
  const main = join(root, 'server/main.ts');
  const kept = join(stack.stateDir, `page-variables-${crypto.randomUUID()}`);
  const prelude = [
    'set -euo pipefail',
    `npx() { shift; "${process.execPath}" --disable-warning=ExperimentalWarning "${main}" "$@"; }`,
    `node() { "${process.execPath}" --disable-warning=ExperimentalWarning "$@"; }`,
    `grpcurl() { "${findGrpcurl() ?? 'grpcurl'}" "$@"; }`,
    `[ -e "${kept}" ] && . "${kept}"`,
    `trap 'for name in $(compgen -v | grep -xE "[a-z]+"); do declare -p "$name"; done > "${kept}"' EXIT`,
  ].join('\n');
  const env = {
    ...cleanEnv(),
    SHOWRUNNER_ADDRESS: stack.address,
    SHOWRUNNER_STATE_DIR: stack.stateDir,
  };

  return {
    run: async (commands, timeoutMs) => {
      const script = places.reduce((text, [page, real]) => text.replaceAll(page, real), commands);
      const child = spawn('bash', ['-c', `${prelude}\n${script}`], {
        cwd: root,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: timeoutMs,
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, output: places.reduce((text, [page, real]) => text.replaceAll(real, page), output) };
    },
  };
}
