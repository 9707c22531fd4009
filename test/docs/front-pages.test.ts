import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromJsonString } from '@bufbuild/protobuf';
import { commands } from '../../server/cli/commands.ts';
import { demoProfile } from '../../server/cli/demo/play-as-member.ts';
import { callableServices } from '../../server/cli/services.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');

function foldersOf(path: string): string[] {
  const entries = readdirSync(join(root, path), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
}

describe('README and ARCHITECTURE', () => {
  it('link only to files that are there', () => {
    for (const text of [readme, architecture]) {
      const links = [...text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, target = '']) => target);
      assert.deepEqual(
        links.filter((link) => !link.includes('://') && !existsSync(join(root, link))),
        [],
      );
    }
  });

  it('name only paths of the tree', () => {
    const named = [readme, architecture].flatMap((text) =>
      [...text.matchAll(/`((?:bench|docs|notebooks-runner|plugins|proto|scripts|server|test|workers)\/[^`\s]*)`/g)].map(
        ([, path = '']) => path,
      ),
    );
    assert.ok(named.length > 20);
    // What stands for any of several ends the part that must be there.
    const fixed = named.map((path) => path.split(/[<…*]|NAME/, 1)[0] ?? '');
    assert.deepEqual(
      fixed.filter((path) => !existsSync(join(root, path))),
      [],
    );
  });

  it('have every room of the code on the map', () => {
    const map = architecture.slice(architecture.indexOf('## Folders'), architecture.indexOf('## Life of a call'));
    // What is compiled: other folders at the top may be a reader's own.
    const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as { include: string[] };
    assert.deepEqual(
      include.map((path) => path.split('/')[0]).filter((name) => !map.includes(`\`${name}`)),
      [],
    );
    const large = [
      'plugins/engine',
      'server/rpc',
      'server/jobs',
      'server/ranking',
      'workers/transcode',
      'notebooks-runner',
    ];
    for (const room of ['server', 'plugins', 'workers', ...large]) {
      assert.deepEqual(
        foldersOf(room).filter((name) => !new RegExp(`[\`/ ,|]${name}[\`/ ,:|]`).test(map)),
        [],
        room,
      );
    }
  });

  it('list every service that is served, and call methods that there are with requests that fit', () => {
    for (const { typeName } of callableServices) assert.ok(readme.includes(`| \`${typeName}\` |`), typeName);
    const calls = [
      ...readme.matchAll(/-d '(.+)' \S+ (\S+)\/(\w+)/g).map(([, json, service, method]) => [service, method, json]),
      ...readme
        .matchAll(/showrunner call (\w+)\/(\w+) '(.+)'/g)
        .map(([, service, method, json]) => [service, method, json]),
    ];
    assert.ok(calls.length >= 2);
    for (const [service = '', method = '', json = ''] of calls) {
      const found = callableServices
        .find(({ typeName, name }) => service === typeName || service === name)
        ?.methods.find(({ name }) => name === method);
      assert.ok(found, `${service}/${method}`);
      fromJsonString(found.input, json);
      assert.ok(json.includes(demoProfile), 'the member of the demo, whose server is called');
    }
  });

  it('name only commands that there are', () => {
    const named = [...`${readme}${architecture}`.matchAll(/npx showrunner (\w+)/g)].map(([, name]) => name);
    assert.ok(named.length > 0);
    assert.deepEqual(
      named.filter((name) => !commands.some((command) => command.name === name)),
      [],
    );
    const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts);
    const run = [...`${readme}${architecture}`.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name);
    assert.deepEqual(
      run.filter((name) => !scripts.includes(name)),
      [],
    );
  });
});
