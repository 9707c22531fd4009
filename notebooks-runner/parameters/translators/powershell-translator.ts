import type { ParameterValue } from '../parameter-value.ts';
import {
  byteList,
  createLiteral,
  faultsOfLiteral,
  floatText,
  isInt64,
  isObject,
  type LiteralWriter,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Automatic and preference variables, which mean something to PowerShell itself; names have no case there. */
const reserved = new Set(
  `_ args confirmpreference consolefilename debugpreference enabledexperimentalfeatures error erroractionpreference
  errorview event eventargs eventsubscriber executioncontext false foreach formatenumerationlimit home host
  informationpreference input iscoreclr islinux ismacos iswindows lastexitcode matches maximumhistorycount myinvocation
  nestedpromptlevel null ofs outputencoding pid profile progresspreference psboundparameters pscmdlet pscommandpath
  psculture psdefaultparametervalues psedition psemailserver pshome psitem psmoduleautoloadingpreference
  psnativecommandargumentpassing psnativecommanduseerroractionpreference psscriptroot pssessionapplicationname
  pssessionconfigurationname pssessionoption psstyle psuiculture psversiontable pwd sender shellid stacktrace switch
  this true verbosepreference warningpreference whatifpreference`.split(/\s+/),
);

/** Controls, halves of characters, line separators, and the curly quotes, which PowerShell takes for straight ones. */
const special = /[\p{Cc}\p{Cs}\u2018-\u201b\u2028\u2029\ufeff]/u;
const parts = /[\p{Cc}\p{Cs}\u2018-\u201b\u2028\u2029\ufeff]|[^\p{Cc}\p{Cs}\u2018-\u201b\u2028\u2029\ufeff]+/gu;

/**
 * Single quotes interpolate nothing; what they cannot hold safely is joined in by code unit. Not by `+`: PowerShell
 * nests a chain of those, and gives up on one of many lines.
 */
function quote(text: string): string {
  const single = (part: string) => `'${part.replaceAll("'", "''")}'`;
  if (!special.test(text)) return single(text);
  const written = (text.match(parts) ?? []).map((part) =>
    special.test(part) ? `[char]0x${part.charCodeAt(0).toString(16).padStart(4, '0')}` : single(part),
  );
  return `(-join @(${written.join(', ')}))`;
}

const writer: LiteralWriter = {
  nothing: '$null',
  yes: '$true',
  no: '$false',
  notANumber: '[double]::NaN',
  infinity: '[double]::PositiveInfinity',
  minusInfinity: '[double]::NegativeInfinity',
  integer: String,
  float: floatText,
  bigint: (value) => (isInt64(value) ? `[long]'${value}'` : `[System.Numerics.BigInteger]::Parse('${value}')`),
  text: quote,
  // Without the comma an array of one array is that array.
  list: (items) => (items.length === 1 ? `@(,${items[0]})` : `@(${items.join(', ')})`),
  object: (entries) => `@{${entries.map(([key, item]) => `${quote(key)} = ${item}`).join('; ')}}`,
  date: (iso) => `[System.DateTimeOffset]::Parse('${iso}', [System.Globalization.CultureInfo]::InvariantCulture)`,
  bytes: (value) => `[byte[]]@(${byteList(value)})`,
  refuse: refuseKeys,
};

function refuseKeys(value: ParameterValue): string | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value).map((key) => key.toLowerCase());
  return new Set(keys).size < keys.length
    ? 'has keys that differ in case only, which PowerShell takes for one'
    : undefined;
}

const literal = createLiteral(writer);

/** PowerShell 5 and 7. */
export const powershellTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text.toLowerCase()),
  nameKey: (name) => name.toLowerCase(),
  faultsOf: (value, field) => faultsOfLiteral(writer, value, field),
  literal,
  assignment: (name, value) => `$${name} = ${literal(value)}`,
  secretAssignment: (name, variable) => `$${name} = $env:${variable}`,
  infer: () => undefined,
};
