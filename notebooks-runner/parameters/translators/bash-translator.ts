import { isList, type ParameterValue } from '../parameter-value.ts';
import {
  createLiteral,
  faultsOfLiteral,
  floatText,
  isObject,
  type LiteralWriter,
  refuseText,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/**
 * Variables by which a value would become code (prompts, start files, search paths, and those that Bash keeps as
 * integers, since what is assigned to them is evaluated as arithmetic, with its substitutions), that are read-only, or
 * that do not keep what they are given. Besides, all that begins with `BASH` or `LD_`.
 */
const reserved = new Set(
  `_ CDPATH COMP_CWORD COMP_POINT COMP_WORDBREAKS DIRSTACK ENV EPOCHREALTIME EPOCHSECONDS EUID EXECIGNORE FUNCNAME
  FUNCNEST GLOBIGNORE GROUPS HISTCMD HISTFILE HOME IFS INPUTRC LINENO OPTARG OPTERR OPTIND PATH PIPESTATUS
  POSIXLY_CORRECT PPID PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4 RANDOM SECONDS SHELL SHELLOPTS SRANDOM TMOUT
  TMPDIR UID`.split(/\s+/),
);
const reservedStart = /^(?:BASH|LD_)/;

/** Bare where nothing is special, else single quotes; ANSI-C quotes for controls, which a terminal would act on. */
function quote(text: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  if (!/\p{Cc}/u.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const octal = (byte: number) => `\\${byte.toString(8).padStart(3, '0')}`;
  const escaped = text.replace(/[\p{Cc}'\\]/gu, (unit) => Array.from(Buffer.from(unit), octal).join(''));
  return `$'${escaped}'`;
}

const writer: LiteralWriter = {
  nothing: '',
  yes: 'true',
  no: 'false',
  notANumber: 'nan',
  infinity: 'inf',
  minusInfinity: '-inf',
  integer: String,
  float: floatText,
  bigint: String,
  text: (text) => (text === '' ? "''" : quote(text)),
  list: (items) => `(${items.map((item) => item || "''").join(' ')})`,
  object: (entries) => `(${entries.map(([key, item]) => `[${quoteKey(key)}]=${item || "''"}`).join(' ')})`,
  date: (iso) => iso,
  bytes: (value) => `'${Buffer.from(value).toString('base64')}'`,
  refuse,
};

/** A bare key could be an arithmetic expression. */
function quoteKey(key: string): string {
  const quoted = quote(key);
  return quoted === key ? `'${key}'` : quoted;
}

function refuse(value: ParameterValue, depth: number): string | undefined {
  if (isNested(value) && depth > 0) return 'is a list or object in another, which Bash cannot hold';
  if (isObject(value) && Object.hasOwn(value, '')) return 'has an empty key, which Bash cannot hold';
  return refuseText(value, 'Bash', { nul: false, loneSurrogate: false });
}

function isNested(value: ParameterValue): boolean {
  return isList(value) || isObject(value);
}

const literal = createLiteral(writer);

/** Bash 4 or newer: everything is text, lists are arrays, objects associative arrays; bytes come as base64. */
export const bashTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text) && !reservedStart.test(text),
  faultsOf: (value, field) => faultsOfLiteral(writer, value, field),
  hasNumbers: false,
  literal,
  assignment: (name, value) => {
    if (!isNested(value)) return `${name}=${literal(value)}`;
    return `${isList(value) ? 'declare -a' : 'declare -A'} ${name}=${literal(value)}`;
  },
  secretAssignment: (name, variable) => `${name}="\${${variable}}"`,
  infer: () => undefined,
};
