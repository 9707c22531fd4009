#!/usr/bin/env node
// Starts showrunner on Node 24 with the telemetry hook loaded first, whatever Node called this file.
// Plain JavaScript, because an older Node must be able to read it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bundled = join(root, 'node_modules', 'node', 'bin', 'node');
const isNew = Number(process.versions.node.split('.')[0]) >= 24;
const node = isNew ? process.execPath : bundled;
if (!existsSync(node)) {
  process.stderr.write(
    `showrunner needs Node 24; this is ${process.versions.node}. Run "npm ci" here first: it brings one.\n`,
  );
  process.exit(1);
}

// Compiled code is kept: a third of the start of every command.
process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'node-compile');
const main = join(root, 'server', 'main.ts');
const args = [
  '--disable-warning=ExperimentalWarning',
  '--import',
  join(root, 'server', 'core', 'telemetry', 'preload.ts'),
  main,
  ...process.argv.slice(2),
];
// Runs of notebooks make no calls that telemetry could show, and start in half the time without it and a second Node.
const isRunHere = isNew && process.argv[2] === 'notebooks';
if (isRunHere) {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => {
    if (name !== 'ExperimentalWarning') process.stderr.write(`${name}: ${message}\n`);
  });
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  await import(pathToFileURL(main).href);
} else if (isNew && process.execve) {
  // Same process, so that signals and kill -9 reach the server itself.
  process.removeAllListeners('warning');
  process.on('warning', () => {});
  process.execve(node, [node, ...args]);
}
if (!isRunHere) {
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
}
