import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { callableServices } from '../../server/cli/services.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { settings } from '../../server/core/config/settings.ts';
import { silentLogger } from '../../server/core/log.ts';
import { eventKinds } from '../../server/events/event-kinds.ts';
import { createJobKinds } from '../../workers/kinds.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { docsDir, examplesOf, readPage } from './bed/page.ts';
import { pages } from './pages.ts';

const root = join(import.meta.dirname, '../..');
const pageNames = readdirSync(docsDir).filter((name) => name.endsWith('.md'));
/** Reasons of faults in our own code, which no caller can bring about. */
const ownFaults = new Set(['KERNEL_MISUSE']);

interface Subject {
  /** Package of its service. */
  readonly area?: string;
  /** Files whose error reasons it must list. */
  readonly sources: readonly string[];
  /** Pages that list some of the reasons in its stead. */
  readonly alsoOn?: readonly string[];
}

/** What a page is about. */
const subjects: Readonly<Record<string, Subject>> = {
  'cache.md': { area: 'cache', sources: ['server/cache', 'server/stores/cache'] },
  'events.md': { area: 'events', sources: ['server/events'] },
  'notifications.md': { area: 'notifications', sources: ['server/notifications'] },
  'manifest.md': { area: 'manifest', sources: ['server/manifest'] },
  'jobs.md': { area: 'jobs', sources: ['server/jobs'] },
  'ranking.md': { area: 'ranking', sources: ['server/ranking'] },
  'telemetry.md': { area: 'telemetry', sources: ['server/telemetry'] },
  'transcoding.md': { area: 'transcode', sources: ['workers/transcode', 'server/transcode'] },
  'notebooks.md': {
    area: 'notebooks',
    sources: ['workers/notebook', 'notebooks-runner/errors.ts', 'server/notebooks'],
  },
  'web.md': { sources: ['server/web'] },
  'filters.md': {
    area: 'filters',
    sources: ['server/filters', 'plugins'],
    alsoOn: ['filters-overload.md', 'filters-routing.md', 'README.md'],
  },
};

function filesBelow(path: string, ending: string): string[] {
  if (path.endsWith(ending)) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(path, name));
}

/** `CODE/REASON` and `/REASON` in the comments of an area's contract, without those of services that are not served. */
function reasonsOfContract(area: string): string[] {
  const served = new Set(callableServices.map(({ name }) => name));
  const text = filesBelow(join(root, 'proto/showrunner', area), '.proto')
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
    .replaceAll(/(?:^\/\/.*\n)*^service (\w+) \{[\s\S]*?^\}/gm, (service, name: string) =>
      served.has(name) ? service : '',
    );
  const comments = text.split('\n').filter((line) => line.trim().startsWith('//'));
  return comments.flatMap((line) => [...line.matchAll(/\/([A-Z]+(?:_[A-Z]+)+)/g)].map(([, reason = '']) => reason));
}

/** Reasons that the code of an area makes. */
function reasonsOfSources(paths: readonly string[]): string[] {
  const texts = paths.flatMap((path) => filesBelow(join(root, path), '.ts')).map((file) => readFileSync(file, 'utf8'));
  return texts.flatMap((text) =>
    [/\breason: '([A-Z_]+)'/g, /\b(?:sourceRefused|unauthenticated|failed|late)\((?:Code\.\w+, )?'([A-Z_]+)'/g].flatMap(
      (form) => [...text.matchAll(form)].map(([, reason = '']) => reason),
    ),
  );
}

describe('pages of docs', () => {
  for (const [page, { area, sources, alsoOn = [] }] of Object.entries(subjects)) {
    it(`${page} lists every method and every reason of an error`, () => {
      const text = readPage(page);
      const all = [text, ...alsoOn.map(readPage)].join('\n');
      const services = callableServices.filter(({ file }) => file.proto.package === `showrunner.${area}.v1`);
      assert.equal(services.length, area === undefined ? 0 : 1);
      const methods = services.flatMap((service) => service.methods.map(({ name }) => name));
      const reasons = new Set([...(area === undefined ? [] : reasonsOfContract(area)), ...reasonsOfSources(sources)]);
      assert.ok(reasons.size > 0, 'no reasons were found: is their form known here?');
      assert.deepEqual(
        methods.filter((name) => !new RegExp(`^\\|[^|]*\`${name}\``, 'm').test(text)),
        [],
        'methods without a row',
      );
      assert.deepEqual(
        [...reasons].filter((reason) => !ownFaults.has(reason) && !all.includes(`\`${reason}\``)),
        [],
        'reasons that the page does not name',
      );
    });
  }

  it('cover every service that is served', () => {
    const areas = Object.values(subjects).map(({ area }) => `showrunner.${area}.v1`);
    const missing = callableServices.filter(({ file }) => !areas.includes(file.proto.package));
    assert.deepEqual(
      missing.map(({ typeName }) => typeName),
      [],
    );
  });

  it('list every kind of event and every kind of job', async () => {
    const events = readPage('events.md');
    const eventNames = Object.keys(eventKinds);
    assert.deepEqual(
      eventNames.filter((kind) => !events.includes(`| \`${kind}\` |`)),
      [],
    );
    await using stores = await createEmbeddedStores();
    const config = readConfig({});
    const kinds = createJobKinds({ config, objects: stores.objects, log: silentLogger, env: {} });
    const jobs = readPage('jobs.md');
    for (const { name, queueClass, maxRetries } of kinds) {
      assert.match(jobs, new RegExp(`\\| \`${name}\` \\| \`${queueClass}\` \\| [^|]+ \\| ${maxRetries} \\|`));
    }
  });

  it('name only settings that exist', () => {
    for (const page of pageNames) {
      const named = [...readPage(page).matchAll(/SHOWRUNNER_([A-Z_]+[A-Z])/g)].map(([, name = '']) => name);
      // One is misspelt to show what happens, one names the file of the others.
      const unknown = named.filter((name) => !(name in settings) && !['ADRESS', 'CONFIG'].includes(name));
      assert.deepEqual(unknown, [], page);
    }
  });

  it('link only to what is there', () => {
    for (const page of pageNames) {
      const links = [...readPage(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
      for (const link of links.filter((target) => !target.includes('://'))) {
        const [file = '', anchor] = link.split('#');
        const path = file === '' ? join(docsDir, page) : join(docsDir, file);
        assert.ok(existsSync(path), `${page}: ${link}`);
        if (anchor === undefined || dirname(path) !== docsDir) continue;
        assert.ok(headingsOf(readFileSync(path, 'utf8')).includes(anchor), `${page}: ${link}`);
      }
    }
  });

  it('are all in the index, and those with examples are all run', () => {
    const index = readPage('README.md');
    for (const page of pageNames) {
      if (page !== 'README.md') assert.ok(index.includes(`](${page})`), `${page} is not in the index`);
      // The tutorial of the filters has a test of its own: test/filters/docs-tutorial.test.ts.
      if (page === 'filters.md' || examplesOf(readPage(page)).length === 0) continue;
      assert.ok(
        pages.some((name) => name === page),
        `${page} is not run`,
      );
    }
  });
});

/** Anchors of a page's headings. */
function headingsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
}
