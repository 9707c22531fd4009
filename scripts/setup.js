// Prepares a machine for `npm run demo` and `npm test`: npm packages, then redis-server, memcached and ffmpeg.
// Plain JavaScript for Node 20 or newer, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stateDir = join(root, 'node_modules', '.showrunner-setup');
// Beside node_modules, not inside: npm ci deletes that folder while the lock is held.
const lockDir = join(root, '.showrunner-setup.lock');
const lockWaitMs = 15 * 60_000;

/** Programs that are needed, each with the commands that satisfy it and its package names. */
const programs = [
  { commands: ['redis-server', 'valkey-server'], apt: 'redis-server', brew: 'redis', env: 'SHOWRUNNER_REDIS_URL' },
  { commands: ['memcached'], apt: 'memcached', brew: 'memcached', env: undefined },
  { commands: ['ffmpeg'], apt: 'ffmpeg', brew: 'ffmpeg', env: 'SHOWRUNNER_FFMPEG' },
  { commands: ['ffprobe'], apt: 'ffmpeg', brew: 'ffmpeg', env: 'SHOWRUNNER_FFPROBE' },
];

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function onPath(command) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    try {
      const path = join(folder, command);
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return true;
    } catch {
      // not in this folder
    }
  }
  return false;
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
  return result.status === 0;
}

function lockDigest() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function packagesAreFresh() {
  try {
    return (
      readFileSync(join(stateDir, 'lock.sha256'), 'utf8') === lockDigest() &&
      existsSync(join(root, 'node_modules', '.bin', 'node'))
    );
  } catch {
    return false;
  }
}

function missingPrograms() {
  return programs.filter(({ commands, env }) => !(env && process.env[env]) && !commands.some(onPath));
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Name of the one file in the lock; the second part tells this process from an earlier one with its pid. */
const lockName = `${process.pid}.${randomUUID()}`;

/**
 * A lock is a folder with its owner's file in it; it is free when it is empty or gone. It is taken by moving a folder
 * that is ready onto it, which fails when there is a file in it: nobody ever sees a lock that is half made.
 */
function takeLock() {
  const ready = `${lockDir}.${lockName}`;
  mkdirSync(ready);
  try {
    writeFileSync(join(ready, lockName), '');
    renameSync(ready, lockDir);
    return true;
  } catch (error) {
    rmSync(ready, { recursive: true, force: true });
    if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
    return false;
  }
}

/** Removes what an owner left. By its full name, so that a lock that another has taken meanwhile stays. */
function releaseLock(name) {
  rmSync(join(lockDir, name), { force: true });
  try {
    rmdirSync(lockDir);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
  }
}

/** The file of who holds the lock, if somebody does. */
function lockHolder() {
  try {
    return readdirSync(lockDir)[0];
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** One setup at a time per checkout; a lock whose owner died is taken over. */
function acquireLock() {
  const deadline = Date.now() + lockWaitMs;
  let told = false;
  while (!takeLock()) {
    const holder = lockHolder();
    if (holder === undefined) continue;
    const owner = Number.parseInt(holder, 10);
    if (!(owner > 0 && isAlive(owner))) {
      releaseLock(holder);
      continue;
    }
    if (Date.now() > deadline) fail(`another setup (pid ${owner}) holds ${lockDir} for over 15 minutes`);
    if (!told) say('waiting for another setup of this checkout');
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  process.on('exit', () => releaseLock(lockName));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
}

function installPackages() {
  say('installing npm packages (npm ci)');
  const npmCli = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const ok = npmCli?.endsWith('.js') ? run(process.execPath, [npmCli, ...args]) : run('npm', args);
  if (!ok) fail('npm ci failed; see its message above');
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(join(stateDir, 'lock.sha256'), lockDigest());
}

function installPrograms(missing) {
  const names = missing.map(({ commands }) => commands.join(' or ')).join(', ');
  if (onPath('apt-get')) {
    const packages = [...new Set(missing.map(({ apt }) => apt))];
    const root = process.getuid?.() === 0;
    if (!root && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) {
      fail(`missing ${names}. Type: sudo apt-get update && sudo apt-get install -y ${packages.join(' ')}`);
    }
    say(`installing ${packages.join(', ')} (apt-get)`);
    const command = root ? 'env' : 'sudo';
    // RUNLEVEL=1: the packages' services are not wanted, showrunner starts private ones of its own.
    const settings = ['RUNLEVEL=1', 'DEBIAN_FRONTEND=noninteractive'];
    const prefix = root ? settings : ['-n', 'env', ...settings];
    const apt = (...args) => {
      const options = ['-o', 'DPkg::Lock::Timeout=600', '-qq'];
      const result = spawnSync(command, [...prefix, 'apt-get', ...options, ...args], {
        stdio: ['ignore', 'ignore', 'pipe'],
        encoding: 'utf8',
      });
      // Its warnings are many and mean nothing when it succeeds.
      if (result.status !== 0) process.stderr.write(result.stderr ?? String(result.error));
      return result.status === 0;
    };
    if (!apt('update')) say('apt-get update failed; trying with the lists at hand');
    if (!apt('install', '-y', '--no-install-recommends', ...packages)) {
      fail(`apt-get could not install ${packages.join(', ')}; see its message above`);
    }
  } else if (onPath('brew')) {
    const packages = [...new Set(missing.map(({ brew }) => brew))];
    say(`installing ${packages.join(', ')} (brew)`);
    if (!run('brew', ['install', ...packages])) fail(`brew could not install ${packages.join(', ')}`);
  } else {
    fail(`missing ${names}, and neither apt-get nor brew is here. Install them and run this again.`);
  }
  const left = missingPrograms();
  if (left.length > 0)
    fail(`still missing after the installation: ${left.map(({ commands }) => commands[0]).join(', ')}`);
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 9)) fail(`Node 20.9 or newer is needed, this is ${process.versions.node}`);
if (!packagesAreFresh() || missingPrograms().length > 0) {
  acquireLock();
  if (!packagesAreFresh()) installPackages();
  const missing = missingPrograms();
  if (missing.length > 0) installPrograms(missing);
}
