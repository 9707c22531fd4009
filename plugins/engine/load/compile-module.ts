import { type Export, type Import, init, parse, type StaticImport } from 'es-module-lexer';

/** What a module imports, in order of appearance. */
export interface ModuleRequest {
  readonly specifier: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The namespace of a module: getters by exported name. */
export type ModuleNamespace = Readonly<Record<string, unknown>>;

/** What an evaluated module is given. */
export interface ModuleSurroundings {
  /** Namespaces of its requests, by index. */
  readonly imports: readonly ModuleNamespace[];
  readonly meta: ImportMeta;
  readonly importDynamically: (specifier: unknown, options?: ImportCallOptions) => Promise<unknown>;
}

/** A module as a function; `evaluate` may be called again, for a namespace of its own. */
export interface CompiledModule {
  readonly requests: readonly ModuleRequest[];
  /** Runs the module's top level. */
  evaluate(surroundings: ModuleSurroundings): Promise<ModuleNamespace>;
}

type Body = (
  exports: object,
  imports: readonly ModuleNamespace[],
  meta: ImportMeta,
  importDynamically: ModuleSurroundings['importDynamically'],
) => Promise<void>;

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const names = { exports: '$filterExports', imports: '$filterImports', meta: '$filterMeta', load: '$filterImport' };
const anonymousDefault = '$filterDefault';

/** Applies the edits; what they replace keeps its line breaks, so that stack traces name the author's lines. */
function applyEdits(source: string, edits: readonly Edit[]): string {
  let result = '';
  let at = 0;
  for (const { start, end, text } of edits.toSorted((a, b) => a.start - b.start)) {
    result += source.slice(at, start) + text + source.slice(start, end).replace(/[^\r\n\u2028\u2029]/g, ' ');
    at = end;
  }
  return result + source.slice(at);
}

const clausePattern = /^(?:([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*,?\s*)?(?:\*\s*as\s+([^\s{},*]+)|\{([^}]*)\})?$/u;

/** `d, { a as b }` or `* as ns` as destructuring of the import; checks first that its names are provided. */
function bindingsOf(source: string, request: StaticImport, index: number): { names: string[]; code: string } {
  const between = source.slice(request.importStart, request.start - 1).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ' ');
  const clause = between.replace(/^import\b/, '').replace(/\bfrom\s*$/, '');
  const match = clausePattern.exec(clause.trim());
  if (match === null) throw new SyntaxError(`cannot read the import of '${request.specifier}'`);
  const [, byDefault, namespace, list = ''] = match;
  const pairs = list
    .split(',')
    .map((item) => item.trim().split(/\s+as\s+/))
    .filter(([imported]) => imported !== undefined && imported !== '');
  if (byDefault !== undefined) pairs.unshift(['default', byDefault]);
  const taken = pairs.map(([imported = '', local = imported]) => `${imported}: ${local}`);
  const from = `${names.imports}[${index}]`;
  const parts = taken.length > 0 ? [`const { ${taken.join(', ')} } = ${from};`] : [];
  if (namespace !== undefined) parts.push(`const ${namespace} = ${from};`);
  return { names: pairs.map(([imported = '']) => imported.replace(/^(['"])(.*)\1$/, '$2')), code: parts.join('') };
}

function isStatement(source: string, entry: Import): entry is StaticImport {
  return (entry.type === 'static' || entry.type === 'reexport-star') && source.startsWith('import', entry.importStart);
}

/** The edit that takes the export away from a statement, and leaves what it declares. */
function exportEdit(source: string, imports: readonly Import[], entry: Export): Edit {
  const { exportStart: start } = entry;
  const from = 'importIndex' in entry ? imports[entry.importIndex] : undefined;
  if (from?.importStart === start) return { start, end: from.importEnd, text: ';' };
  const after = start + 'export'.length;
  if (/^\s*\{/.test(source.slice(after))) return { start, end: source.indexOf('}', entry.end) + 1, text: ';' };
  if (entry.type === 'direct' && entry.name === 'default') {
    const text = entry.localName === undefined ? `const ${anonymousDefault} = ` : '';
    return { start, end: entry.end, text };
  }
  // Importers take the value once: a changing binding would look as if it stood still.
  const word = /^\s*(let|var)\b/.exec(source.slice(after))?.[1];
  if (word !== undefined) throw new SyntaxError(`export a const or a function: 'export ${word}' is not followed`);
  return { start, end: after, text: '' };
}

function getterOf(entry: Export, requestAt: ReadonlyMap<number, number>): string {
  if (entry.type === 'reexport-all') return '';
  const name = JSON.stringify(entry.name);
  if (entry.type === 'direct') return `get [${name}]() { return ${entry.localName ?? anonymousDefault}; },`;
  const from = `${names.imports}[${requestAt.get(entry.importIndex)}]`;
  const value = entry.importName === null ? from : `${from}[${JSON.stringify(entry.importName)}]`;
  return `get [${name}]() { return ${value}; },`;
}

function checkProvided(request: ModuleRequest, wanted: readonly string[], namespace: ModuleNamespace | undefined) {
  for (const name of wanted) {
    if (namespace !== undefined && name in namespace) continue;
    throw new SyntaxError(`'${request.specifier}' does not provide an export named '${name}'`);
  }
}

function namespaceOf(exports: object, stars: readonly ModuleNamespace[]): ModuleNamespace {
  for (const star of stars) {
    for (const name of Object.keys(star)) {
      if (name === 'default' || Object.hasOwn(exports, name)) continue;
      Object.defineProperty(exports, name, { get: () => star[name], enumerable: true });
    }
  }
  return Object.freeze(exports) as ModuleNamespace;
}

/** Ready once the lexer is; it must be awaited before `compileModule`. */
export const compilerReady: () => Promise<void> = init;

/**
 * Compiles an ES module to a function, because a function is collected with the last thing that refers to it, while
 * Node keeps every module it has imported for good: also vm.SourceTextModule (nodejs/node#59118), and 2 kB of each
 * vm.Script. `url` names it in stack traces. Throws SyntaxError.
 */
export function compileModule(source: string, url: string): CompiledModule {
  const [imports, exports] = parse(source, url);
  const edits = new Map<number, Edit>();
  const requests: ModuleRequest[] = [];
  const requestAt = new Map<number, number>();
  const wanted: string[][] = [];
  let prelude = '';
  for (const [position, entry] of imports.entries()) {
    if (entry.type !== 'import-meta' && entry.phase !== null) throw new SyntaxError(`no import ${entry.phase} here`);
    const start = entry.importStart;
    if (entry.type === 'import-meta') edits.set(start, { start, end: entry.importEnd, text: names.meta });
    else if (entry.type === 'dynamic') edits.set(start, { start, end: start + 'import'.length, text: names.load });
    else {
      const index = requests.length;
      requests.push({ specifier: entry.specifier, attributes: Object.fromEntries(entry.attributes ?? []) });
      requestAt.set(position, index);
      wanted.push([]);
      if (!isStatement(source, entry)) continue;
      const bindings = bindingsOf(source, entry, index);
      wanted[index] = bindings.names;
      prelude += bindings.code;
      edits.set(start, { start, end: entry.importEnd, text: ';' });
    }
  }
  const stars: number[] = [];
  for (const entry of exports) {
    if (!edits.has(entry.exportStart)) edits.set(entry.exportStart, exportEdit(source, imports, entry));
    if (entry.type === 'reexport-all') stars.push(requestAt.get(entry.importIndex) ?? 0);
    if (entry.type === 'reexport' && entry.importName !== null) {
      wanted[requestAt.get(entry.importIndex) ?? 0]?.push(entry.importName);
    }
  }
  const getters = exports.map((entry) => getterOf(entry, requestAt)).join('');
  const head = `'use strict';Object.defineProperties(${names.exports}, Object.getOwnPropertyDescriptors({${getters}}));`;
  const parameters = [names.exports, names.imports, names.meta, names.load].join(', ');
  const body = `${head}${prelude}${applyEdits(source, [...edits.values()])}`;
  // Loading code is what this file is for; the text is a filter that was checked before.
  // biome-ignore lint/security/noGlobalEval: see above
  const run = globalThis.eval(`(async function (${parameters}) {${body}\n})\n//# sourceURL=${url}`) as Body;
  return {
    requests,
    evaluate: async ({ imports: namespaces, meta, importDynamically }) => {
      for (const [index, request] of requests.entries()) {
        checkProvided(request, wanted[index] ?? [], namespaces[index]);
      }
      const exported = Object.create(null) as object;
      await run.call(undefined, exported, namespaces, meta, importDynamically);
      return namespaceOf(
        exported,
        namespaces.filter((_namespace, index) => stars.includes(index)),
      );
    },
  };
}
