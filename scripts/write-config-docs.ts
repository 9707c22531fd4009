/**
 * Writes README's list of settings from the configuration table, between two marker comments.
 * `--check` writes nothing and exits 1 when the list is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Setting } from '../server/core/config/setting.ts';
import { settings } from '../server/core/config/settings.ts';

const path = join(import.meta.dirname, '..', 'README.md');
const begin = '<!-- settings: made by "npm run docs:config" -->';
const end = '<!-- /settings -->';

function table(): string {
  const rows = Object.entries(settings as Readonly<Record<string, Setting<unknown>>>).map(([name, entry]) => {
    const fallback =
      entry.fallback === undefined || entry.fallback === '' || typeof entry.fallback === 'object'
        ? ''
        : `\`${String(entry.fallback)}\``;
    return `| \`SHOWRUNNER_${name}\` | ${fallback} | ${entry.doc.replaceAll('|', '\\|')} |`;
  });
  return ['| setting | default | what it is |', '|---|---|---|', ...rows].join('\n');
}

const readme = readFileSync(path, 'utf8');
const from = readme.indexOf(begin);
const to = readme.indexOf(end);
if (from < 0 || to < from) throw new Error(`README.md lacks the markers ${begin} and ${end}`);
const fresh = `${readme.slice(0, from)}${begin}\n${table()}\n${readme.slice(to)}`;
if (!process.argv.includes('--check')) writeFileSync(path, fresh);
else if (fresh !== readme) {
  process.stderr.write('README.md: the list of settings is stale, run "npm run docs:config"\n');
  process.exitCode = 1;
}
