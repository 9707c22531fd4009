import { inferPython } from '../inference/infer-python.ts';
import { quoteText } from './literal-text.ts';
import { createLiteral, floatText } from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[\p{XID_Start}_][\p{XID_Continue}]{0,127}$/u;

const keywords = new Set(
  `False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield`.split(/\s+/),
);

const literal = createLiteral({
  nothing: 'None',
  yes: 'True',
  no: 'False',
  notANumber: 'float("nan")',
  infinity: 'float("inf")',
  minusInfinity: 'float("-inf")',
  integer: String,
  float: floatText,
  bigint: String,
  text: quoteText,
  list: (items) => `[${items.join(', ')}]`,
  object: (entries) => `{${entries.map(([key, item]) => `${quoteText(key)}: ${item}`).join(', ')}}`,
  date: (iso) => `__import__("datetime").datetime.fromisoformat("${iso.replace('Z', '+00:00')}")`,
  bytes: (value) => `bytes.fromhex("${Buffer.from(value).toString('hex')}")`,
});

/** Python reads letters that look alike as one: `ﬁ` is `fi`. */
const nameKey = (name: string) => name.normalize('NFKC');

/** Python: one assignment per parameter. Names like `__builtins__` are refused: Python itself depends on them. */
export const pythonTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !keywords.has(nameKey(text)) && !/^__.*__$/.test(nameKey(text)),
  nameKey,
  faultsOf: () => [],
  literal,
  assignment: (name, value) => `${name} = ${literal(value)}`,
  secretAssignment: (name, variable) => `${name} = __import__("os").environ["${variable}"]`,
  infer: inferPython,
};
