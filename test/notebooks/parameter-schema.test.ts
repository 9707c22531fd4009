import assert from 'node:assert/strict';
import type { Notebook } from '../../notebooks-runner/nbformat/notebook.ts';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { injectParameters } from '../../notebooks-runner/parameters/inject-parameters.ts';
import { inspectParameters } from '../../notebooks-runner/parameters/inspect-parameters.ts';
import { decodeTaggedValues } from '../../notebooks-runner/parameters/tagged-value.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, createNotebookBed, notebookOf, printed } from './notebook-bed.ts';

function withSchema(parameters: unknown, ...cells: object[]): Notebook {
  const document = notebookOf(...cells);
  const metadata = { ...(document['metadata'] as object), showrunner: { parameters } };
  return checkNotebook({ ...document, metadata }).notebook;
}

const schema = {
  type: 'object',
  properties: {
    metric: { enum: ['rmse', 'mae'], description: 'what to measure' },
    minRatings: { type: 'integer', minimum: 1, maximum: 500, default: 50 },
    ids: { type: 'array', items: { type: 'string', minLength: 2, maxLength: 3 }, minItems: 1, maxItems: 2 },
    share: { type: ['number', 'null'], exclusiveMinimum: 0, exclusiveMaximum: 1 },
    token: { type: 'string', writeOnly: true },
  },
  required: ['metric'],
};

async function faultsOf(parameters: Record<string, unknown>, notebook = withSchema(schema, code('1'))) {
  const inject = async () => injectParameters(notebook, parameters, 'typescript');
  const error = await rejectsWith(inject(), Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
  return error.fields.map(({ field, description }) => `${field}: ${description}`);
}

describe('the declared schema of parameters', () => {
  it('names every value that breaks it, what is missing and what it does not know', async () => {
    assert.deepEqual(
      await faultsOf({
        metric: 'auc',
        minRatings: 0,
        ids: ['abcd', 'a', 'ab'],
        share: 1,
        token: 'in clear',
        other: 1,
      }),
      [
        'parameters.metric: must be one of "rmse", "mae"',
        'parameters.minRatings: must be at least 1, but is 0',
        'parameters.ids: must have at most 2 items',
        'parameters.share: must be under 1',
        'parameters.token: is a secret: give it by reference, {"$secret": "NAME"}',
        'parameters.other: the notebook declares no such parameter; it declares metric, minRatings, ids, share, token',
      ],
    );
    assert.deepEqual(await faultsOf({ minRatings: 1.5, ids: ['a'], share: Number.NaN }), [
      'parameters.minRatings: must be integer, but is number',
      'parameters.ids[0]: must have at least 2 characters',
      'parameters.share: must be over 0',
      'parameters.metric: is required',
    ]);
  });

  it('compares values of every kind with those it lists', async () => {
    const choices = [{ x: 1, y: [1, null] }, [null], 1.5, 7];
    const notebook = withSchema({ properties: { a: { enum: choices } } }, code('1'));
    const given = (a: unknown) => injectParameters(notebook, { a }, 'typescript').parameters['a'];
    assert.deepEqual(given({ y: [1, null], x: { $bigint: '1' } }), { x: '1', y: [1, null] });
    assert.deepEqual([given([null]), given(1.5), given({ $bigint: '7' })], [[null], 1.5, '7']);
    for (const a of [{ x: 1 }, { x: 1, y: [1], z: 1 }, [{ $float: 'nan' }], { $bigint: '1' }, [null, null], '7', {}]) {
      assert.equal((await faultsOf({ a }, notebook)).length, 1, JSON.stringify(a));
    }
  });

  it('injects a default that the defaults cell does not have, and only that', () => {
    const injected = injectParameters(withSchema(schema, code('1')), { metric: 'mae' }, 'typescript');
    assert.equal(injected.notebook.cells[0]?.source, '// Parameters\nconst metric = "mae";\nconst minRatings = 50;');
    const notebook = withSchema(schema, code('let minRatings = 50, metric = "mae"', 'parameters'));
    const { cells } = injectParameters(notebook, { metric: 'rmse' }, 'typescript').notebook;
    assert.equal(cells[1]?.source, '// Parameters\nlet metric = "rmse";');
  });

  it('must use known rules only, and hold its own defaults', () => {
    for (const [bad, field] of [
      [{ properties: { a: { pattern: '(a+)+' } } }, 'metadata.showrunner.parameters.properties.a.pattern'],
      [{ properties: { a: { type: 'integer', default: 1.5 } } }, 'metadata.showrunner.parameters.properties.a.default'],
      [{ properties: { a: { type: 'date' } } }, 'metadata.showrunner.parameters.properties.a.type'],
      [{ required: ['a'] }, 'metadata.showrunner.parameters.required'],
      [{ anyOf: [] }, 'metadata.showrunner.parameters.anyOf'],
      [[], 'metadata.showrunner.parameters'],
    ] as const) {
      assert.throws(
        () => injectParameters(withSchema(bad, code('1')), {}, 'typescript'),
        (error: unknown) => error instanceof AppError && error.fields[0]?.field === field,
      );
    }
  });

  it('is shown with types, defaults, help and choices, and merged with what the cell declares', () => {
    const notebook = withSchema(
      schema,
      code('const minRatings = 20; // at least\nconst file = "x" // where', 'parameters'),
    );
    const { parameters, isStrict } = inspectParameters(notebook, 'typescript');
    assert.deepEqual(
      parameters.map(({ name, type, defaultText, help, isRequired, isSecret }) => [
        name,
        type,
        defaultText,
        help,
        isRequired,
        isSecret,
      ]),
      [
        ['metric', 'any', '', 'what to measure', true, false],
        ['minRatings', 'integer', '20', 'at least', false, false],
        ['ids', 'array', '', '', false, false],
        ['share', 'number | null', '', '', false, false],
        ['token', 'string', '', '', false, true],
        ['file', 'string', '"x"', 'where', false, false],
      ],
    );
    assert.deepEqual([parameters[0]?.choices, parameters[1]?.minimum, isStrict], [['"rmse"', '"mae"'], 1, true]);
  });

  it('stays in the output notebook, which so can be run again', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([], {
      notebook: withSchema(schema, code('console.log(metric, minRatings)')),
      parameters: { metric: 'mae' },
    });
    assert.equal(printed(record.notebook.cells[1]), 'mae 50\n');
    const { showrunner } = (await bed.readOutput()).metadata as { showrunner: Record<string, unknown> };
    assert.deepEqual([showrunner['parameters'], showrunner['status']], [schema, 'succeeded']);
  });
});

describe('values that JSON cannot write', () => {
  it('come as tagged objects, at any depth', () => {
    const value = {
      a: { $bigint: '9223372036854775807' },
      b: [{ $float: 'nan' }, { $float: '-inf' }],
      c: { $date: '2024-02-29T00:00:00Z' },
      d: { $bytes: 'AP8=' },
      e: { $bigint: 'x' },
      f: { $secret: 'A' },
      g: { $bigint: '1', other: 1 },
    };
    assert.deepEqual(decodeTaggedValues(value), {
      a: 9223372036854775807n,
      b: [Number.NaN, Number.NEGATIVE_INFINITY],
      c: new Date('2024-02-29T00:00:00Z'),
      d: new Uint8Array([0, 255]),
      e: { $bigint: 'x' },
      f: { $secret: 'A' },
      g: { $bigint: '1', other: 1 },
    });
  });
});
