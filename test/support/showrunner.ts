import { join } from 'node:path';
import { type ChildScript, startCommand } from './child-script.ts';

const root = join(import.meta.dirname, '../..');
const flags = [
  '--disable-warning=ExperimentalWarning',
  '--import',
  join(root, 'server/core/telemetry/preload.ts'),
  join(root, 'server/main.ts'),
];
/** What a shell of the tester may have set must not change what is tested. */
const foreign = /^(SHOWRUNNER_|OTEL_|NODE_OPTIONS$|npm_)/;

/** Starts `showrunner` as scripts/showrunner.js does, on free ports; `settings` are further environment. */
export function startShowrunner(args: readonly string[], settings: Readonly<Record<string, string>> = {}): ChildScript {
  const inherited = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const ports = { SHOWRUNNER_ADDRESS: '127.0.0.1:0', SHOWRUNNER_ORIGIN_ADDRESS: '127.0.0.1:0' };
  return startCommand([process.execPath, ...flags, ...args], {
    ...Object.fromEntries(inherited),
    ...ports,
    ...settings,
  });
}

/** Runs a command of `showrunner` to its end. */
export async function runShowrunner(args: readonly string[], settings: Readonly<Record<string, string>> = {}) {
  const child = startShowrunner(args, settings);
  const code = await child.ended;
  return { code, output: child.lines.join('\n'), errors: child.errors() };
}
