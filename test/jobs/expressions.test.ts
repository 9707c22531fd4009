// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { parseCondition } from '../../server/jobs/expressions/condition.ts';
import { parsePath, readPath } from '../../server/jobs/expressions/read-path.ts';
import { findReferences, resolveReferences } from '../../server/jobs/expressions/resolve-references.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { rejectsWith } from '../support/rejects-with.ts';

const scope: Json = {
  train: { state: 'succeeded', result: { rmse: 0.87, keys: [{ model: 'm/1' }], name: 'a "b"' } },
  params: { strict: false, list: [1, 2] },
};
const resolve = (value: Json) => resolveReferences(value, scope, 'params');

describe('references', () => {
  it('become the value itself when they stand alone, and text within a longer text', () => {
    const value = {
      all: '${params.list}',
      first: '${train.result.keys[0].model}',
      text: 'rmse ${train.result.rmse}, ${params.list}',
    };
    assert.deepEqual(resolve(value), { all: [1, 2], first: 'm/1', text: 'rmse 0.87, [1,2]' });
  });

  it('leave everything else as it is, also an escaped one', () => {
    assert.deepEqual(resolve(['$${params.list}', '$5', 7, null, true, '{x}']), [
      '${params.list}',
      '$5',
      7,
      null,
      true,
      '{x}',
    ]);
  });

  it('reach own members only', async () => {
    for (const path of [
      'train.constructor',
      '__proto__',
      'params.list.length',
      'train.result.name.length',
      'params.list[2]',
    ]) {
      await rejectsWith((async () => resolve(`\${${path}}`))(), Code.INVALID_ARGUMENT, 'REFERENCE_UNKNOWN');
    }
  });

  it('name the field when they cannot be read', async () => {
    for (const text of ['${}', '${a..b}', '${a b}', '${a[x]}', '${.a}', `\${${'a.'.repeat(30)}a}`]) {
      const error = await rejectsWith(
        (async () => resolve({ deep: [text] }))(),
        Code.INVALID_ARGUMENT,
        'REFERENCE_INVALID',
      );
      assert.equal(error.fields[0]?.field, 'params.deep[0]');
    }
  });

  it('are found without being resolved', () => {
    assert.deepEqual(findReferences({ a: '${x.y} ${z}', b: '$${no}' }, 'p'), [
      { path: ['x', 'y'], field: 'p.a' },
      { path: ['z'], field: 'p.a' },
    ]);
  });

  it('follow paths of names and indexes', () => {
    assert.deepEqual(parsePath('a.b-c[10].d_1'), ['a', 'b-c', '10', 'd_1']);
    assert.equal(readPath(scope, ['train', 'result', 'keys', '0', 'model']), 'm/1');
    assert.equal(readPath(scope, ['train', 'nothing', 'deeper']), undefined);
  });
});

describe('conditions', () => {
  const holds = (text: string) => parseCondition(text, 'when').holds(scope);

  it('compare, negate and combine as their operators bind', () => {
    for (const text of [
      'train.result.rmse < 0.9',
      'train.result.rmse>=0.87&&train.state=="succeeded"',
      '!params.strict',
      'params.strict || train.result.rmse == 0.87',
      'false && false || true',
      'true || false && false',
      '!(params.strict || false)',
      '(train.result.rmse) == 0.87',
      'params.list[1] == 2',
      'nothing.here == null',
      'train.result.name == "a \\"b\\""',
      'train.state > "a"',
      'params.list[0] > -1.5e0',
    ])
      assert.equal(holds(text), true, text);
  });

  it('do not hold between values of different types, nor for what is not there', () => {
    for (const text of [
      'train.state > 1',
      'nothing < 1',
      'nothing >= 0',
      'nothing',
      'train.result.rmse == "0.87"',
      '!true',
      '""',
      '0',
    ]) {
      assert.equal(holds(text), false, text);
    }
  });

  it('are refused when they cannot be read', async () => {
    for (const text of [
      '',
      ' ',
      'a ==',
      '== 1',
      'a b',
      '(a',
      'a)',
      'a = 1',
      'a & b',
      'a; b',
      'f(x)',
      '"open',
      'a..b',
      '1.2.3',
      '`x`',
      'x'.repeat(1_001),
      `${'('.repeat(60)}a${')'.repeat(60)}`,
    ]) {
      await rejectsWith((async () => parseCondition(text, 'when'))(), Code.INVALID_ARGUMENT, 'CONDITION_INVALID');
    }
  });

  it('tell which paths they read', () => {
    assert.deepEqual(parseCondition('a.b > 1 && c[0]', 'when').paths, [
      ['a', 'b'],
      ['c', '0'],
    ]);
  });
});
