import assert from 'node:assert/strict';
import { inferPython } from '../../notebooks-runner/parameters/inference/infer-python.ts';

function inferred(source: string): Record<string, string> | undefined {
  const inference = inferPython(source);
  if (inference === undefined) return undefined;
  return Object.fromEntries(
    [...inference.declarations].map(([name, { type }]) => [
      name,
      `${[...(type.kinds ?? ['any'])].join('|')}${type.isInteger === true ? ' whole' : ''}` +
        (type.choices === undefined ? '' : ` ${JSON.stringify(type.choices)}`),
    ]),
  );
}

const whole = 'number|bigint whole';
const real = 'number|bigint';

describe('inferring parameters of a Python cell', () => {
  it('knows the types of literals, containers, arithmetic and built-in calls', () => {
    const source = `
a = "text" "joined" # comment = not
b = 'it''s' + f"{a['x']!r:>{1}}"
c = -1
d = 24 * 60 * 60
e = 1 / 2
f = 1_000.5e3
g = True
h = None
i = [1,
     2]   # over lines
j = {"a": 1}
k = {1, 2}
l = (1,)
m = ("in brackets")
n = b"bytes"
o = """triple
q = 1
""" ; p = float("nan")
q = dict(a=1)
r = compute(x=1)
s = x if y else z
t = 0x1F
u = lambda v=1: v
v = w = 'chain'
x.attribute = 1
y["item"] = 2
z += 1
aa, (bb, *cc) = values
dd = datetime.datetime.now()
gg = datetime.timedelta(days=1)
hh = datetime.date(2024, 2, 29)
ii = datetime.now().isoformat()
ee = 1j
ff = a == b
`;
    assert.deepEqual(inferred(source), {
      a: 'string',
      b: 'string',
      c: whole,
      d: whole,
      e: real,
      f: real,
      g: 'boolean',
      h: 'any',
      i: 'list',
      j: 'object',
      k: 'list',
      l: 'list',
      m: 'string',
      n: 'bytes',
      o: 'string',
      p: real,
      q: 'object',
      r: 'any',
      s: 'any',
      t: whole,
      u: 'any',
      v: 'string',
      w: 'string',
      aa: 'any',
      bb: 'any',
      cc: 'any',
      dd: 'date',
      gg: 'any',
      hh: 'date',
      ii: 'any',
      ee: 'any',
      ff: 'any',
    });
  });

  it('takes the annotation, or a type comment, over the value', () => {
    const source = `
a: int = 1
b: float = 1
c: str | None = None
d: Optional[list[dict[str, int]]] = None
e: typing.Union[int, str] = 1
f: Literal["a", 'b', None] = "a"
g: "int" = 1
h: MyType = 1
i: int
j = None  # type: str how it is called
k: bool = None  # switch
l: Annotated[int, "meta = 1"] = 3
`;
    assert.deepEqual(inferred(source), {
      a: whole,
      b: real,
      c: 'string|null',
      d: 'list|null',
      e: 'number|bigint|string whole',
      f: 'string|null ["a","b"]',
      g: whole,
      h: 'any',
      i: whole,
      j: 'string',
      k: 'boolean',
      l: whole,
    });
    const { declarations } = inferPython(source) ?? assert.fail();
    assert.equal(declarations.get('j')?.help, 'how it is called');
    assert.equal(declarations.get('k')?.help, 'switch');
    assert.deepEqual(
      [declarations.get('d')?.annotationText, declarations.get('a')?.defaultText],
      ['Optional[list[dict[str, int]]]', '1'],
    );
  });

  it('sees the top level only, and says when it may have missed names', () => {
    const source =
      'import os\ndef f(x=1):\n    y = 2\n    return y\nclass C:\n    z = 1\na = 1\n%matplotlib inline\n!ls b=1';
    assert.deepEqual(inferred(source), { a: whole });
    assert.equal(inferPython(source)?.isComplete, true);
    assert.equal(inferPython('a = 1\nif a:\n    b = 2')?.isComplete, false);
    assert.equal(inferPython('a = 1\nfrom x import *')?.isComplete, false);
    assert.equal(inferPython('a = 1\nfrom x import y')?.isComplete, true);
    assert.equal(inferPython('a = 1\nmatch a:\n    case 1: b = 2')?.isComplete, false);
    assert.equal(inferPython('a = 1\nasync for b in c():\n    pass')?.isComplete, false);
    assert.equal(inferPython('a = 1\nasync def b():\n    pass')?.isComplete, true);
  });

  it('sees names that an expression binds by the way, and no types for parameters', () => {
    assert.deepEqual(inferred('a = 1\nprint(b := 2)\n(c := 3)\nd = lambda: (e := 1)\ntype T = int\nmatch = 4'), {
      a: whole,
      b: 'any',
      c: 'any',
      d: 'any',
      match: whole,
    });
  });

  it('keeps the text of a default over lines and brackets, and the comment behind it', () => {
    const { declarations } =
      inferPython('a = {  # inner\n  "k": [1, 2],\n}  # outer = help\nb = \\\n  5') ?? assert.fail();
    assert.equal(declarations.get('a')?.defaultText, '{  # inner\n  "k": [1, 2],\n}');
    assert.deepEqual([declarations.get('a')?.help, declarations.get('b')?.defaultText], ['outer = help', '5']);
  });

  for (const source of ['a = "open', 'a = (1', 'a = [1)', 'a = """x', 'a = f"{x', '', '# only a comment', 'print(1)']) {
    it(`gives nothing for ${JSON.stringify(source)}`, () => assert.equal(inferred(source), undefined));
  }
});
