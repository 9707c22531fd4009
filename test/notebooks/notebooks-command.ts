import { join } from 'node:path';
import { type ChildScript, startCommand } from '../support/child-script.ts';

const script = join(import.meta.dirname, '../../scripts/showrunner.js');
/** What a shell of the tester may have set must not change what is tested. */
const foreign = /^(SHOWRUNNER_|OTEL_|NODE_OPTIONS$|npm_)/;

/** Starts `showrunner notebooks …` as a user does. */
export function startNotebooks(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildScript {
  const inherited = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return startCommand([process.execPath, script, 'notebooks', ...args], { ...Object.fromEntries(inherited), ...env });
}

/** Runs `showrunner notebooks …` to its end. */
export async function runNotebooks(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = startNotebooks(args, env);
  const code = await child.ended;
  return { code, output: child.lines.join('\n'), errors: child.errors() };
}
