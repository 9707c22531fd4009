import { systemClock } from '../../../server/core/clock.ts';
import { runProcess } from '../../../workers/transcode/ffmpeg/run-process.ts';

// Runs a process that says its id and sleeps; the test kills this script and looks whether the sleeper goes too.
await runProcess({
  program: '/bin/sh',
  args: ['-c', 'echo $$; exec sleep 300'],
  cwd: process.argv[2] ?? '.',
  signal: new AbortController().signal,
  clock: systemClock,
  timeoutMs: 60_000,
  noProgressMs: 60_000,
  limits: { maxMemoryBytes: 1024 ** 3, maxFileBytes: 1_000_000 },
  searchPath: '/usr/local/bin:/usr/bin:/bin',
  onStdout: (chunk) => process.stdout.write(chunk),
});
