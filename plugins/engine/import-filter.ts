import { type RegisterHooksOptions, registerHooks } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../server/core/errors.ts';
import { filterLoadFailed } from './filter-errors.ts';
import type { FilterFolder } from './read-folders.ts';

const contractUrl = new URL('./filter.ts', import.meta.url).href;
const token = /[?&]filter=[0-9a-f]+-\d+-(\d+)/;
let loads = 0;
let isHooked = false;

/**
 * Resolution inside filter folders. Modules are cached by URL for good, so each load has a query of its own; the
 * hook hands it on to the folder's other files, which would stay at their first version otherwise. The query's last
 * number is the length of the folder's URL. `showrunner/filter` means the contract, wherever the folder is.
 */
const resolveHook: RegisterHooksOptions['resolve'] = (specifier, context, nextResolve) => {
  const match = token.exec(context.parentURL ?? '');
  if (specifier === 'showrunner/filter') return { url: contractUrl, shortCircuit: true };
  const resolved = nextResolve(specifier, context);
  if (match !== null && context.parentURL !== undefined && !token.test(resolved.url)) {
    const root = context.parentURL.slice(0, Number(match[1]));
    if (!resolved.url.startsWith(root)) return resolved;
    const query = match[0].slice(1);
    return withFormat({ ...resolved, url: `${resolved.url}${resolved.url.includes('?') ? '&' : '?'}${query}` });
  }
  return token.test(specifier) ? withFormat(resolved) : resolved;
};

/** Says that .ts and .js files of filters are modules, so that a folder needs no package.json. */
function withFormat<R extends { url: string; format?: string | null | undefined }>(resolved: R): R {
  const path = resolved.url.split('?')[0] ?? '';
  if (path.endsWith('.ts')) return { ...resolved, format: 'module-typescript' };
  return path.endsWith('.js') ? { ...resolved, format: 'module' } : resolved;
}

/** Imports a fresh copy of a filter's module. Throws FILTER_LOAD_FAILED. */
export async function importFilter({ file, hash }: FilterFolder): Promise<{ readonly filter?: unknown }> {
  if (!isHooked) registerHooks({ resolve: resolveHook });
  isHooked = true;
  const rootUrl = `${pathToFileURL(dirname(file)).href}/`;
  const url = `${pathToFileURL(file).href}?filter=${hash.slice(0, 12)}-${++loads}-${rootUrl.length}`;
  try {
    return await import(url);
  } catch (error) {
    throw filterLoadFailed(file, messageOf(error), error);
  }
}
