import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** A file that breaks the import table, and the words of the gate that must bite. */
const faults: readonly [file: string, imported: string, message: RegExp][] = [
  ['server/core/x.ts', '../rpc/handler.ts', /server\/core imports nothing/],
  ['server/core/x.ts', '../cache/service.ts', /server\/core imports nothing/],
  ['server/core/x.ts', '@opentelemetry/sdk-node', /SDK is used in server\/core\/telemetry only/],
  ['server/stores/objects/x.ts', '../../rpc/handler.ts', /server\/stores imports server\/core only/],
  ['server/stores/objects/x.ts', 'node:sqlite', /SQLite is used in server\/stores\/records only/],
  ['server/ranking/x.ts', '@aws-sdk/client-s3', /S3 client is used in server\/stores\/objects only/],
  ['server/rpc/x.ts', '../stores/records/records-store.ts', /server\/rpc imports server\/core/],
  ['server/rpc/x.ts', '../jobs/service.ts', /server\/rpc imports server\/core/],
  ['server/ranking/x.ts', '../jobs/service.ts', /areas do not import each other/],
  ['server/ranking/models/x.ts', '../../manifest/service.ts', /areas do not import each other/],
  ['server/ranking/x.ts', '../../workers/queue/job-kind.ts', /areas do not import each other/],
  ['server/jobs/x.ts', '../../workers/transcode/probe.ts', /areas do not import each other/],
  ['server/cache/x.ts', '@grpc/grpc-js', /grpc-js is used in server\/rpc only/],
  ['server/cache/x.ts', '../app/build-app.ts', /areas do not import each other/],
  ['plugins/engine/x.ts', '../../server/rpc/handler.ts', /plugins\/engine imports server\/core only/],
  ['plugins/filters/auth/x.ts', '../../engine/engine.ts', /a filter imports the contract/],
  ['plugins/filters/auth/x.ts', '../../engine/call/session.ts', /a filter imports the contract/],
  ['plugins/origins/x.ts', '../../server/rpc/raw-client.ts', /a filter imports the contract/],
  ['server/notebooks/x.ts', '../jobs/service.ts', /areas do not import each other/],
  ['workers/queue/x.ts', '../../server/jobs/service.ts', /workers\/queue imports server\/core only/],
  ['workers/transcode/x.ts', '../queue/worker-runner.ts', /a job kind imports/],
  ['workers/transcode/x.ts', 'bullmq', /BullMQ is used in workers\/queue only/],
  ['notebooks-runner/x.ts', '../workers/queue/job-kind.ts', /notebooks-runner imports server\/core only/],
  ['notebooks-runner/x.ts', '../server/stores/objects/object-store.ts', /notebooks-runner imports server\/core only/],
];

const allowed: readonly [file: string, imported: string][] = [
  ['server/jobs/x.ts', '../../workers/queue/job-kind.ts'],
  ['server/events/x.ts', '../stores/events/event-log.ts'],
  ['server/cache/x.ts', '../stores/cache/cache-store.ts'],
  ['server/ranking/x.ts', '../rpc/handler.ts'],
  ['server/stores/records/x.ts', 'node:sqlite'],
  ['server/stores/objects/x.ts', '@aws-sdk/client-s3'],
  ['plugins/engine/x.ts', '../../server/core/call.ts'],
  ['plugins/filters/auth/x.ts', '../../engine/filter.ts'],
  ['plugins/filters/routing/x.ts', '../../origins/balancer.ts'],
  ['workers/transcode/x.ts', '../queue/job-kind.ts'],
  ['workers/transcode/x.ts', '../../server/stores/objects/object-store.ts'],
  ['workers/notebook/x.ts', '../../notebooks-runner/run/run-notebook.ts'],
];

interface Plant {
  readonly file: string;
  readonly source: string;
}

/** Plants all files at once, lints them in one run, removes them; gives the findings on each. */
function lintPlanted(plants: readonly Plant[]): string[] {
  const paths = plants.map(({ file }, index) => join(dirname(file), `planted-${process.pid}-${index}.ts`));
  try {
    for (const [index, path] of paths.entries()) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), plants[index]?.source ?? '');
    }
    const biome = join(root, 'node_modules', '.bin', 'biome');
    const flags = ['lint', '--reporter=github', '--max-diagnostics=none', '--colors=off'];
    const { stdout, stderr } = spawnSync(biome, [...flags, ...paths], { cwd: root, encoding: 'utf8' });
    const lines = (stdout + stderr).split('\n');
    return paths.map((path) => lines.filter((line) => line.includes(path)).join('\n'));
  } finally {
    for (const path of paths) rmSync(join(root, path), { force: true });
  }
}

function importOf(specifier: string): string {
  return `import * as x from '${specifier}';\n\nexport const y = x;\n`;
}

describe('the import table', () => {
  const core = 'server/core/x.ts';
  const second = faults.length + allowed.length + 1;
  let findings: string[];

  before(() => {
    findings = lintPlanted([
      ...faults.map(([file, imported]) => ({ file, source: importOf(imported) })),
      ...allowed.map(([file, imported]) => ({ file, source: importOf(imported) })),
      {
        file: core,
        source: `import { z } from './planted-${process.pid}-${second}.ts';\n\nexport const y = () => z;\n`,
      },
      { file: core, source: `import { y } from './planted-${process.pid}-${second - 1}.ts';\n\nexport const z = y;\n` },
      { file: core, source: "import 'left-pad';\n\nexport function x(): void {\n  Promise.resolve(1);\n}\n" },
    ]);
  });

  for (const [index, [file, imported, message]] of faults.entries()) {
    it(`refuses ${imported} in ${dirname(file)}`, () => assert.match(findings[index] ?? '', message));
  }

  for (const [index, [file, imported]] of allowed.entries()) {
    it(`lets ${imported} pass in ${dirname(file)}`, () => {
      assert.doesNotMatch(findings[faults.length + index] ?? '', /noRestrictedImports/);
    });
  }

  it('refuses an import cycle', () => assert.match(findings[second] ?? '', /noImportCycles/));

  it('refuses a floating promise and an undeclared package', () => {
    assert.match(findings[second + 1] ?? '', /noFloatingPromises/);
    assert.match(findings[second + 1] ?? '', /noUndeclaredDependencies/);
  });
});
