import { quoteText } from './literal-text.ts';
import { isList, type ParameterValue } from './parameter-value.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[\p{XID_Start}_][\p{XID_Continue}]{0,127}$/u;

const keywords = new Set(
  `False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield`.split(/\s+/),
);

/** Python: one assignment per parameter. Declarations of the defaults cell are not inferred, so no name is refused. */
export const pythonTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !keywords.has(text),
  literal,
  assignment: (name, value) => `${name} = ${literal(value)}`,
  infer: () => undefined,
};

function literal(value: ParameterValue): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return quoteText(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return numberLiteral(value);
  if (isList(value)) return `[${value.map(literal).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${quoteText(key)}: ${literal(item)}`)
    .join(', ')}}`;
}

function numberLiteral(value: number): string {
  if (Number.isNaN(value)) return 'float("nan")';
  if (!Number.isFinite(value)) return value > 0 ? 'float("inf")' : 'float("-inf")';
  return Object.is(value, -0) ? '-0.0' : String(value);
}
