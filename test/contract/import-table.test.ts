import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createTempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '../..');

/** The words of the gate for files of a room; of a package for its owner. */
const closed = (room: string) =>
  new RegExp(`${room.replaceAll('*', '\\*')} imports [^:]* and nothing else of the project`);
const owned = (name: string, room: string) => new RegExp(`${name} is used in ${room} only`);

/** A file that breaks the import table, and the words of the gate that must bite. */
const faults: readonly [file: string, imported: string, message: RegExp][] = [
  ['server/core/x.ts', '../rpc/handler.ts', closed('server/core')],
  ['server/core/x.ts', '../cache/service.ts', closed('server/core')],
  ['server/core/config/x.ts', '../../jobs/service.ts', closed('server/core')],
  ['server/core/telemetry/x.ts', '../../telemetry/service.ts', closed('server/core/telemetry')],
  ['server/core/x.ts', '@opentelemetry/sdk-node', owned('sdk-node', 'server/core/telemetry')],
  ['server/stores/objects/x.ts', '../../rpc/handler.ts', closed('server/stores/objects')],
  ['server/stores/objects/x.ts', 'node:sqlite', owned('node:sqlite', 'server/stores/records')],
  ['server/stores/events/x.ts', '../../events/service.ts', closed('server/stores')],
  ['server/stores/cache/x.ts', '../../ranking/maths/ials.ts', closed('server/stores')],
  ['server/ranking/x.ts', '@aws-sdk/client-s3', owned('client-s3', 'server/stores/objects')],
  ['server/rpc/x.ts', '../stores/records/records-store.ts', closed('server/rpc')],
  ['server/rpc/edge/x.ts', '../../jobs/service.ts', closed('server/rpc')],
  ['server/ranking/x.ts', '../jobs/service.ts', closed('server/ranking')],
  ['server/ranking/models/x.ts', '../../manifest/service.ts', closed('server/ranking')],
  ['server/ranking/models/x.ts', '../../../server/manifest/service.ts', closed('server/ranking')],
  ['server/ranking/x.ts', '../../workers/queue/job-kind.ts', closed('server/ranking')],
  ['server/jobs/x.ts', '../../workers/transcode/source/probe.ts', closed('server/jobs')],
  ['server/jobs/edge/x.ts', '../../../test/support/temp-dir.ts', closed('server/jobs')],
  ['server/cache/x.ts', '@grpc/grpc-js', owned('grpc-js', 'server/rpc')],
  ['server/cache/x.ts', '../app/build-app.ts', closed('server/cache')],
  ['server/notebooks/x.ts', '../jobs/service.ts', closed('server/notebooks')],
  ['server/web/x.ts', '../manifest/service.ts', closed('server/web')],
  ['server/web/x.ts', '../stores/records/records-store.ts', closed('server/web')],
  ['server/manifest/x.ts', '../web/cors.ts', closed('server/manifest')],
  ['server/app/x.ts', '@grpc/grpc-js', owned('grpc-js', 'server/rpc')],
  ['server/app/x.ts', '../cli/commands.ts', closed('server/app')],
  ['server/cli/x.ts', '../../test/support/temp-dir.ts', closed('server/cli')],
  ['plugins/engine/x.ts', '../../server/rpc/handler.ts', closed('plugins/engine')],
  ['plugins/engine/load/x.ts', '../../filters/auth/filter.ts', closed('plugins/engine')],
  ['plugins/filters/auth/x.ts', '../../engine/engine.ts', closed('plugins/filters/*')],
  ['plugins/filters/auth/x.ts', '../../engine/call/session.ts', closed('plugins/filters/*')],
  ['plugins/filters/auth/x.ts', '../rate-limit/filter.ts', closed('plugins/filters/*')],
  ['plugins/origins/x.ts', '../../server/rpc/raw-client.ts', closed('plugins/origins')],
  ['workers/x.ts', '../server/jobs/service.ts', closed('workers')],
  ['workers/queue/x.ts', '../../server/jobs/service.ts', closed('workers/queue')],
  ['workers/transcode/x.ts', '../queue/worker-runner.ts', closed('workers/transcode')],
  ['workers/transcode/mp4/x.ts', '../../../server/jobs/service.ts', closed('workers/transcode')],
  ['workers/transcode/x.ts', '../train/train-kind.ts', closed('workers/transcode')],
  ['workers/transcode/x.ts', 'bullmq', owned('bullmq', 'workers/queue')],
  ['notebooks-runner/x.ts', '../workers/queue/job-kind.ts', closed('notebooks-runner')],
  ['notebooks-runner/run/x.ts', '../../server/stores/objects/object-store.ts', closed('notebooks-runner')],
];

const allowed: readonly [file: string, imported: string][] = [
  ['server/core/config/x.ts', '../telemetry/flush.ts'],
  ['server/jobs/x.ts', '../../workers/queue/job-kind.ts'],
  ['server/jobs/edge/x.ts', '../schedules/slots.ts'],
  ['server/events/x.ts', '../stores/events/event-log.ts'],
  ['server/cache/x.ts', '../stores/cache/cache-store.ts'],
  ['server/ranking/x.ts', '../rpc/handler.ts'],
  ['server/web/x.ts', '../rpc/raw-client.ts'],
  ['server/app/x.ts', '../web/web-bridge.ts'],
  ['server/stores/records/x.ts', 'node:sqlite'],
  ['server/stores/objects/x.ts', '@aws-sdk/client-s3'],
  ['server/stores/objects/x.ts', '../store-errors.ts'],
  ['server/cli/x.ts', '../../bench/run-benches.ts'],
  ['plugins/engine/x.ts', '../../server/core/call.ts'],
  ['plugins/filters/auth/x.ts', '../../engine/filter.ts'],
  ['plugins/filters/routing/x.ts', '../../origins/balancer.ts'],
  ['workers/transcode/x.ts', '../queue/job-kind.ts'],
  ['workers/transcode/x.ts', '../../server/stores/objects/object-store.ts'],
  ['workers/train/x.ts', '../../server/ranking/maths/ials.ts'],
  ['workers/notebook/x.ts', '../../notebooks-runner/run/run-notebook.ts'],
];

interface Plant {
  readonly file: string;
  readonly source: string;
}

/**
 * Plants all files at once in a folder of their own, beside nothing but what configures the linter, and lints them in
 * one run; gives the findings on each. Not in the tree: what other tests read there must not come and go.
 */
async function lintPlanted(plants: readonly Plant[]): Promise<string[]> {
  await using dir = await createTempDir();
  for (const name of ['biome.json', 'biome.imports.json', 'package.json', '.gitignore']) {
    copyFileSync(join(root, name), join(dir.path, name));
  }
  const paths = plants.map(({ file }, index) => join(dirname(file), `planted-${index}.ts`));
  for (const [index, path] of paths.entries()) {
    mkdirSync(dirname(join(dir.path, path)), { recursive: true });
    writeFileSync(join(dir.path, path), plants[index]?.source ?? '');
  }
  const biome = join(root, 'node_modules', '.bin', 'biome');
  const flags = ['lint', '--reporter=github', '--max-diagnostics=none', '--colors=off'];
  const { stdout, stderr } = spawnSync(biome, [...flags, ...paths], { cwd: dir.path, encoding: 'utf8' });
  const lines = (stdout + stderr).split('\n');
  return paths.map((path) => lines.filter((line) => line.includes(path)).join('\n'));
}

function importOf(specifier: string): string {
  return `import * as x from '${specifier}';\n\nexport const y = x;\n`;
}

describe('the import table', () => {
  const core = 'server/core/x.ts';
  const second = faults.length + allowed.length + 1;
  let findings: string[];

  before(async () => {
    findings = await lintPlanted([
      ...faults.map(([file, imported]) => ({ file, source: importOf(imported) })),
      ...allowed.map(([file, imported]) => ({ file, source: importOf(imported) })),
      {
        file: core,
        source: `import { z } from './planted-${second}.ts';\n\nexport const y = () => z;\n`,
      },
      { file: core, source: `import { y } from './planted-${second - 1}.ts';\n\nexport const z = y;\n` },
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
