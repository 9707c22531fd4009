import assert from 'node:assert/strict';
import { asFloat, type ParameterValue } from '../../notebooks-runner/parameters/parameter-value.ts';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';

const values: Readonly<Record<string, ParameterValue>> = {
  nothing: null,
  yes: true,
  small: 5,
  wide: 3_000_000_000,
  int64: -9223372036854775808n,
  huge: 2n ** 70n,
  fraction: 0.1,
  whole: asFloat(1),
  large: 1e20,
  minusZero: -0,
  notANumber: Number.NaN,
  infinite: Number.NEGATIVE_INFINITY,
  text: 'é "q" \'s\' $x `b` \\n\n😀',
  list: [1, true, 'a'],
  nested: [[1]],
  object: { 'a "b"': 1, c: null },
  empty: {},
  when: new Date('2024-02-29T12:30:00.500Z'),
  bytes: new Uint8Array([0, 127, 255]),
};

/** What each language gets; a refused value shows as `! reason`. */
const golden: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  R: {
    nothing: 'x <- NULL',
    yes: 'x <- TRUE',
    small: 'x <- 5',
    wide: 'x <- 3000000000',
    int64: '! is an integer over 53 bits, which R has no type for; pass it as text',
    huge: '! is an integer over 53 bits, which R has no type for; pass it as text',
    fraction: 'x <- 0.1',
    whole: 'x <- 1.0',
    large: 'x <- 1e+20',
    minusZero: 'x <- -0.0',
    notANumber: 'x <- NaN',
    infinite: 'x <- -Inf',
    text: String.raw`x <- "\u00e9 \"q\" 's' $x ${'`'}b${'`'} \\n\n\U0001f600"`,
    list: 'x <- list(1, TRUE, "a")',
    nested: 'x <- list(list(1))',
    object: String.raw`x <- list("a \"b\"" = 1, "c" = NULL)`,
    empty: 'x <- stats::setNames(list(), character())',
    when: 'x <- as.POSIXct("2024-02-29T12:30:00.500", format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")',
    bytes: 'x <- as.raw(c(0, 127, 255))',
  },
  scala: {
    nothing: 'val x = None',
    yes: 'val x = true',
    small: 'val x = 5',
    wide: 'val x = 3000000000L',
    int64: 'val x = -9223372036854775808L',
    huge: 'val x = BigInt("1180591620717411303424")',
    fraction: 'val x = 0.1',
    whole: 'val x = 1.0',
    large: 'val x = 1e+20',
    minusZero: 'val x = -0.0',
    notANumber: 'val x = Double.NaN',
    infinite: 'val x = Double.NegativeInfinity',
    text: String.raw`val x = "\u00e9 \"q\" 's' $x ${'`'}b${'`'} \\n\n\ud83d\ude00"`,
    list: 'val x = Seq(1, true, "a")',
    nested: 'val x = Seq(Seq(1))',
    object: String.raw`val x = Map("a \"b\"" -> 1, "c" -> None)`,
    empty: 'val x = Map.empty[String, Any]',
    when: 'val x = java.time.Instant.parse("2024-02-29T12:30:00.500Z")',
    bytes: 'val x = Array[Byte](0, 127, -1)',
  },
  julia: {
    nothing: 'x = nothing',
    yes: 'x = true',
    small: 'x = 5',
    wide: 'x = 3000000000',
    int64: 'x = parse(Int64, "-9223372036854775808")',
    huge: 'x = parse(BigInt, "1180591620717411303424")',
    fraction: 'x = 0.1',
    whole: 'x = 1.0',
    large: 'x = 1e+20',
    minusZero: 'x = -0.0',
    notANumber: 'x = NaN',
    infinite: 'x = -Inf',
    text: String.raw`x = "\u00e9 \"q\" 's' \$x ${'`'}b${'`'} \\n\n\U0001f600"`,
    list: 'x = Any[1, true, "a"]',
    nested: 'x = Any[[1]]',
    object: String.raw`x = Dict{String, Any}("a \"b\"" => 1, "c" => nothing)`,
    empty: 'x = Dict{String, Any}()',
    when: 'x = Dates.DateTime("2024-02-29T12:30:00.500")',
    bytes: 'x = UInt8[0, 127, 255]',
  },
  matlab: {
    nothing: 'x = [];',
    yes: 'x = true;',
    small: 'x = 5;',
    wide: 'x = 3000000000;',
    int64: "x = sscanf('-9223372036854775808', '%ld');",
    huge: '! is an integer over 64 bits, which Matlab has no type for',
    fraction: 'x = 0.1;',
    whole: 'x = 1.0;',
    large: 'x = 1e+20;',
    minusZero: 'x = -0.0;',
    notANumber: 'x = NaN;',
    infinite: 'x = -Inf;',
    text: `x = ("" + char([233]) + " ""q"" 's' $x \`b\` \\n" + char([10 55357 56832]));`,
    list: 'x = {1, true, "a"};',
    nested: 'x = {{1}};',
    object: `x = containers.Map({'a "b"', 'c'}, {1, []}, 'UniformValues', false);`,
    empty: "x = containers.Map('KeyType', 'char', 'ValueType', 'any');",
    when: `x = datetime("2024-02-29T12:30:00.500", "InputFormat", "yyyy-MM-dd'T'HH:mm:ss.SSS", "TimeZone", "UTC");`,
    bytes: 'x = uint8([0, 127, 255]);',
  },
  'c#': {
    nothing: 'object x = null;',
    yes: 'var x = true;',
    small: 'var x = 5;',
    wide: 'var x = 3000000000L;',
    int64: 'var x = -9223372036854775808L;',
    huge: 'var x = System.Numerics.BigInteger.Parse("1180591620717411303424");',
    fraction: 'var x = 0.1;',
    whole: 'var x = 1.0;',
    large: 'var x = 1e+20;',
    minusZero: 'var x = -0.0;',
    notANumber: 'var x = double.NaN;',
    infinite: 'var x = double.NegativeInfinity;',
    text: String.raw`var x = "\u00e9 \"q\" 's' $x ${'`'}b${'`'} \\n\n\ud83d\ude00";`,
    list: 'var x = new object[] { 1, true, "a" };',
    nested: 'var x = new object[] { new object[] { 1 } };',
    object: String.raw`var x = new System.Collections.Generic.Dictionary<string, object> { { "a \"b\"", 1 }, { "c", null } };`,
    empty: 'var x = new System.Collections.Generic.Dictionary<string, object> {  };',
    when: 'var x = System.DateTimeOffset.Parse("2024-02-29T12:30:00.500Z", System.Globalization.CultureInfo.InvariantCulture);',
    bytes: 'var x = new byte[] { 0, 127, 255 };',
  },
  'f#': {
    nothing: 'let x = (null : obj)',
    yes: 'let x = true',
    small: 'let x = 5',
    wide: 'let x = 3000000000L',
    int64: 'let x = -9223372036854775808L',
    huge: 'let x = System.Numerics.BigInteger.Parse("1180591620717411303424")',
    fraction: 'let x = 0.1',
    whole: 'let x = 1.0',
    large: 'let x = 1e+20',
    minusZero: 'let x = -0.0',
    notANumber: 'let x = System.Double.NaN',
    infinite: 'let x = System.Double.NegativeInfinity',
    text: String.raw`let x = "\u00e9 \"q\" 's' $x ${'`'}b${'`'} \\n\n\ud83d\ude00"`,
    list: 'let x = [ box (1); box (true); box ("a") ]',
    nested: 'let x = [ box ([ 1 ]) ]',
    object: String.raw`let x = Map.ofList [ ("a \"b\"", box (1)); ("c", box ((null : obj))) ]`,
    empty: 'let x = (Map.empty : Map<string, obj>)',
    when: 'let x = System.DateTimeOffset.Parse("2024-02-29T12:30:00.500Z", System.Globalization.CultureInfo.InvariantCulture)',
    bytes: 'let x = [| 0uy; 127uy; 255uy |]',
  },
  powershell: {
    nothing: '$x = $null',
    yes: '$x = $true',
    small: '$x = 5',
    wide: '$x = 3000000000',
    int64: "$x = [long]'-9223372036854775808'",
    huge: "$x = [System.Numerics.BigInteger]::Parse('1180591620717411303424')",
    fraction: '$x = 0.1',
    whole: '$x = 1.0',
    large: '$x = 1e+20',
    minusZero: '$x = -0.0',
    notANumber: '$x = [double]::NaN',
    infinite: '$x = [double]::NegativeInfinity',
    text: `$x = (-join @('é "q" ''s'' $x \`b\` \\n', [char]0x000a, '😀'))`,
    list: "$x = @(1, $true, 'a')",
    nested: '$x = @(,@(,1))',
    object: `$x = @{'a "b"' = 1; 'c' = $null}`,
    empty: '$x = @{}',
    when: "$x = [System.DateTimeOffset]::Parse('2024-02-29T12:30:00.500Z', [System.Globalization.CultureInfo]::InvariantCulture)",
    bytes: '$x = [byte[]]@(0, 127, 255)',
  },
  bash: {
    nothing: 'x=',
    yes: 'x=true',
    small: 'x=5',
    wide: 'x=3000000000',
    int64: 'x=-9223372036854775808',
    huge: 'x=1180591620717411303424',
    fraction: 'x=0.1',
    whole: 'x=1.0',
    large: 'x=1e+20',
    minusZero: 'x=-0.0',
    notANumber: 'x=nan',
    infinite: 'x=-inf',
    text: String.raw`x=$'é "q" \047s\047 $x ${'`'}b${'`'} \134n\012😀'`,
    list: 'declare -a x=(1 true a)',
    nested: '! is a list or object in another, which Bash cannot hold',
    object: `declare -A x=(['a "b"']=1 ['c']='')`,
    empty: 'declare -A x=()',
    when: 'x=2024-02-29T12:30:00.500Z',
    bytes: "x='AH//'",
  },
};

describe('parameters in the other languages', () => {
  for (const [language, expected] of Object.entries(golden)) {
    it(`are written in ${language} as that language reads them`, () => {
      const translator = translatorFor(language);
      const found = Object.entries(values).map(([name, value]) => {
        const [fault] = translator.faultsOf(value, 'x');
        return [name, fault === undefined ? translator.assignment('x', value) : `! ${fault.description}`];
      });
      assert.deepEqual(Object.fromEntries(found), expected);
    });
  }

  it('are not made another type of by their neighbours in Julia', () => {
    const { literal } = translatorFor('julia');
    assert.deepEqual(
      [
        [1, 2],
        [0.5, 1.5],
        [1, -0],
        [[1], [0.5]],
        ['a', 'b'],
      ].map(literal),
      ['[1, 2]', '[0.5, 1.5]', 'Any[1, -0.0]', 'Any[[1], [0.5]]', '["a", "b"]'],
    );
  });

  it('are not made another type of by their neighbours in Scala and F#', () => {
    const lists = [
      [1, 2],
      [1, 0.5],
      [asFloat(1), 0.5],
      [2n ** 63n - 1n, 0.5],
      [1, 3_000_000_000],
    ];
    assert.deepEqual(lists.map(translatorFor('scala').literal), [
      'Seq(1, 2)',
      'Seq[Any](1, 0.5)',
      'Seq(1.0, 0.5)',
      'Seq[Any](9223372036854775807L, 0.5)',
      'Seq(1, 3000000000L)',
    ]);
    assert.deepEqual(lists.slice(0, 3).map(translatorFor('f#').literal), [
      '[ 1; 2 ]',
      '[ box (1); box (0.5) ]',
      '[ 1.0; 0.5 ]',
    ]);
  });

  it('are refused in R where they nest deeper than its parser goes', () => {
    const nested = (levels: number): ParameterValue => (levels === 0 ? 1 : [nested(levels - 1)]);
    const named = (levels: number): ParameterValue => (levels === 0 ? 1 : { é: named(levels - 1) });
    const { faultsOf } = translatorFor('r');
    assert.deepEqual(
      [nested(50), named(25), '('.repeat(60)].map((value) => faultsOf(value, 'p').length),
      [0, 0, 0],
    );
    for (const value of [nested(51), named(26)]) {
      assert.match(faultsOf(value, 'p')[0]?.description ?? '', /nests deeper than R's parser goes/);
    }
  });

  it('interpolate nothing in any language, and bind secrets without their value', () => {
    for (const language of [...Object.keys(golden), 'typescript', 'python']) {
      const translator = translatorFor(language);
      assert.match(translator.secretAssignment('x', 'NOTEBOOK_SECRET_A'), /NOTEBOOK_SECRET_A/);
    }
    assert.ok(!/(?<!\\)\$/.test(translatorFor('julia').literal('$(run(`id`)) $x')));
    assert.equal(
      translatorFor('powershell').literal("$(id) \u2019; id; '"),
      "(-join @('$(id) ', [char]0x2019, '; id; '''))",
    );
  });

  it('are found by the kernel name before the language', () => {
    assert.equal(translatorFor('python', 'sparkkernel'), translatorFor('scala'));
    assert.equal(translatorFor('C#', '.net-csharp'), translatorFor('csharp'));
    assert.equal(translatorFor('R', 'my-own'), translatorFor('ir'));
  });
});
