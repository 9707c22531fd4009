import { readFile } from 'node:fs/promises';
import { createRequire, type RegisterHooksOptions, registerHooks, stripTypeScriptTypes } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf } from '../../../server/core/errors.ts';
import { filterLoadFailed } from '../filter-errors.ts';
import { type CompiledModule, compileModule, compilerReady, type ModuleNamespace } from './compile-module.ts';
import type { FilterFolder } from './read-folders.ts';

const contractUrl = new URL('../filter.ts', import.meta.url).href;
const kitUrl = new URL('../filter-kit.ts', import.meta.url).href;
const outside = 'showrunner-filter-import:';
let isHooked = false;

/**
 * Resolution of what filters import from elsewhere: `showrunner/filter` means the contract, wherever the folder is;
 * `showrunner-filter-import:<parent> <specifier>` is resolved as if the parent, which the loader does not know,
 * imported it.
 */
const resolveHook: RegisterHooksOptions['resolve'] = (specifier, context, nextResolve) => {
  if (specifier === 'showrunner/filter') return { url: contractUrl, shortCircuit: true };
  if (specifier === 'showrunner/filter-kit') return { url: kitUrl, shortCircuit: true };
  if (!specifier.startsWith(outside)) return nextResolve(specifier, context);
  const [parentURL, inner = ''] = specifier.slice(outside.length).split(' ');
  return nextResolve(inner, { ...context, parentURL });
};

/** Makes `showrunner/filter` and `showrunner/filter-kit` known to Node's own loader, for tests of filters. */
export function registerFilterImports(): void {
  if (!isHooked) registerHooks({ resolve: resolveHook });
  isHooked = true;
}

/** Node's own loader, as if `parentUrl` imported it; what it loads stays loaded. */
function importOutside(
  specifier: string,
  attributes: Readonly<Record<string, string>>,
  parentUrl: string,
): Promise<ModuleNamespace> {
  registerFilterImports();
  if (specifier === 'showrunner/filter') return import(contractUrl);
  return import(`${outside}${parentUrl} ${specifier}`, { with: attributes });
}

const extensions = /\.(ts|mts|js|mjs|json)$/;

/** Compiles one file of a filter. Throws SyntaxError. */
export async function compileFile(text: string, url: string, version: string): Promise<CompiledModule> {
  await compilerReady();
  const source = text.startsWith('#!') ? `//${text}` : text;
  const isTyped = /\.m?ts$/.test(url);
  return compileModule(isTyped ? stripTypeScriptTypes(source) : source, `${url}?filter=${version}`);
}

/** One import of one filter: the modules of its folder, each evaluated once, dependencies first. */
class FilterModules {
  readonly #rootUrl: string;
  readonly #source: FilterFolder;
  readonly #modules = new Map<string, Promise<ModuleNamespace>>();

  constructor(source: FilterFolder) {
    this.#source = source;
    this.#rootUrl = `${pathToFileURL(dirname(source.file)).href}/`;
  }

  entry(): Promise<ModuleNamespace> {
    return this.#load(pathToFileURL(this.#source.file).href, []);
  }

  #load(url: string, trail: readonly string[]): Promise<ModuleNamespace> {
    if (trail.includes(url)) throw new Error(`import cycle: ${[...trail, url].map((u) => this.#short(u)).join(' → ')}`);
    const known = this.#modules.get(url);
    if (known !== undefined) return known;
    const loading = this.#evaluate(url, trail);
    this.#modules.set(url, loading);
    return loading;
  }

  #short(url: string): string {
    return url.slice(this.#rootUrl.length);
  }

  async #evaluate(url: string, trail: readonly string[]): Promise<ModuleNamespace> {
    const { text: entryText, file, hash } = this.#source;
    const path = fileURLToPath(url);
    const text = path === file && entryText !== undefined ? entryText : await readFile(path, 'utf8');
    if (url.endsWith('.json')) return { default: JSON.parse(text) };
    const module = await compileFile(text, url, hash.slice(0, 12));
    const imports: ModuleNamespace[] = [];
    const inner = [...trail, url];
    // In order: modules run in the order in which they are imported.
    for (const { specifier, attributes } of module.requests) {
      imports.push(await this.#import(specifier, attributes, url, inner));
    }
    return module.evaluate({
      imports,
      meta: this.#metaOf(url, path),
      importDynamically: async (specifier, options) => this.#import(String(specifier), { ...options?.with }, url, []),
    });
  }

  #import(
    specifier: string,
    attributes: Readonly<Record<string, string>>,
    parentUrl: string,
    trail: readonly string[],
  ): Promise<ModuleNamespace> {
    const isPath = /^\.{0,2}\//.test(specifier) || specifier.startsWith('file:');
    if (!isPath) return importOutside(specifier, attributes, this.#source.importBase ?? parentUrl);
    if (this.#source.text !== undefined) throw new Error(`'${specifier}': a source on its own has no other files`);
    const url = new URL(specifier, parentUrl);
    const { href } = url;
    // Packages inside the folder, and files above it, are Node's.
    const isOwn = href.startsWith(this.#rootUrl) && !href.includes('/node_modules/') && extensions.test(url.pathname);
    return isOwn ? this.#load(href, trail) : importOutside(href, attributes, parentUrl);
  }

  #metaOf(url: string, filename: string): ImportMeta {
    const resolve = (specifier: string) =>
      /^\.{0,2}\//.test(specifier)
        ? new URL(specifier, url).href
        : pathToFileURL(createRequire(url).resolve(specifier)).href;
    return { url, filename, dirname: dirname(filename), main: false, resolve } as ImportMeta;
  }
}

/**
 * Imports a fresh copy of a filter's module and the files of its folder, which are collected with it. What it imports
 * from elsewhere (node:, packages, files outside the folder) comes from Node's loader, once per process.
 * Throws FILTER_LOAD_FAILED.
 */
export async function importFilter(source: FilterFolder): Promise<{ readonly filter?: unknown }> {
  try {
    return await new FilterModules(source).entry();
  } catch (error) {
    throw filterLoadFailed(source.file, messageOf(error), error);
  }
}
