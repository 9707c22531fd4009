import assert from 'node:assert/strict';
import { AppError } from '../../server/core/errors.ts';
import { checkSchema, valueFaults, withDefaults } from '../../server/jobs/templates/parameter-schema.ts';
import type { Json } from '../../workers/queue/job-kind.ts';

const schema = checkSchema(
  {
    type: 'object',
    required: ['title'],
    properties: {
      title: { type: 'string', minLength: 1, maxLength: 5 },
      ladder: { enum: ['small', 'full'], default: 'small' },
      factors: { type: 'integer', minimum: 8, maximum: 256, default: 64 },
      share: { type: ['number', 'null'], exclusiveMinimum: 0, exclusiveMaximum: 1 },
      tags: {
        type: 'array',
        minItems: 1,
        maxItems: 2,
        items: { type: 'object', properties: { name: { default: 'x' } } },
      },
      fixed: { const: 1 },
      free: { type: 'object' },
    },
  },
  'schema',
);
const faultsOf = (value: Json) => valueFaults(value, schema, 'params').map(({ field }) => field);

describe('a parameter schema', () => {
  it('fills in defaults at every depth and leaves what is given', () => {
    assert.deepEqual(withDefaults({ title: 'a', factors: 8, tags: [{}] }, schema), {
      title: 'a',
      factors: 8,
      ladder: 'small',
      tags: [{ name: 'x' }],
    });
  });

  it('accepts what keeps its rules', () => {
    const value = {
      title: 'a',
      ladder: 'full',
      factors: 256,
      share: null,
      tags: [{ name: 'y' }],
      fixed: 1,
      free: { any: 1 },
    };
    assert.deepEqual(faultsOf(value), []);
  });

  it('names every fault by its path', () => {
    const cases: readonly (readonly [Json, string])[] = [
      [{}, 'params.title'],
      [{ title: '' }, 'params.title'],
      [{ title: 'sixsix' }, 'params.title'],
      [{ title: 1 }, 'params.title'],
      [{ title: 'a', ladder: 'huge' }, 'params.ladder'],
      [{ title: 'a', factors: 8.5 }, 'params.factors'],
      [{ title: 'a', factors: 4 }, 'params.factors'],
      [{ title: 'a', factors: 512 }, 'params.factors'],
      [{ title: 'a', share: 0 }, 'params.share'],
      [{ title: 'a', share: 1 }, 'params.share'],
      [{ title: 'a', tags: [] }, 'params.tags'],
      [{ title: 'a', tags: [{}, {}, {}] }, 'params.tags'],
      [{ title: 'a', tags: [{ nmae: 'x' }] }, 'params.tags[0].nmae'],
      [{ title: 'a', fixed: 2 }, 'params.fixed'],
      [{ title: 'a', tilte: 'b' }, 'params.tilte'],
      [[], 'params'],
    ];
    for (const [value, field] of cases) assert.deepEqual(faultsOf(value), [field], JSON.stringify(value));
  });

  it('is refused where it asks for what is not checked, or breaks its own rules', () => {
    const cases: readonly (readonly [Json, string])[] = [
      [{ pattern: 'a+' }, 's.pattern'],
      [{ type: 'date' }, 's.type'],
      [{ type: [] }, 's.type'],
      [{ minimum: '1' }, 's.minimum'],
      [{ minLength: -1 }, 's.minLength'],
      [{ enum: [] }, 's.enum'],
      [{ properties: { a: 1 } }, 's.properties.a'],
      [{ required: ['a'] }, 's.required'],
      [{ properties: { a: { type: 'string', default: 1 } } }, 's.properties.a.default'],
      [{ items: { $ref: '#' } }, 's.items.$ref'],
      ['text', 's'],
    ];
    for (const [value, field] of cases) {
      assert.throws(
        () => checkSchema(value, 's'),
        (error: unknown) => error instanceof AppError && error.fields[0]?.field === field,
        JSON.stringify(value),
      );
    }
  });
});
