import assert from 'node:assert/strict';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { injectParameters } from '../../notebooks-runner/parameters/inject-parameters.ts';
import type { ParameterValue } from '../../notebooks-runner/parameters/parameter-value.ts';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, notebookOf } from './notebook-bed.ts';

describe('what a language cannot take', () => {
  it('is refused, part by part of a value', () => {
    const faults = (language: string, value: ParameterValue) =>
      translatorFor(language)
        .faultsOf(value, 'p')
        .map(({ field, description }) => `${field} ${description.split(',')[0]}`);
    assert.deepEqual(faults('r', { a: ['\0', 'a\ud800'] }), [
      'p.a[0] holds a NUL character',
      'p.a[1] holds half a character',
    ]);
    assert.deepEqual(faults('julia', '\udc00'), ['p holds half a character']);
    assert.deepEqual(faults('powershell', { a: 1, A: 2 }), ['p has keys that differ in case only']);
    assert.deepEqual(faults('bash', { '': 1 }), ['p has an empty key']);
    assert.deepEqual(faults('bash', 'a\0'), ['p holds a NUL character']);
    assert.deepEqual(faults('scala', 'a\ud800\0'), []);
  });

  it('is two parameters with names that the language takes for one', async () => {
    const sameIn = async (language: string, parameters: Record<string, unknown>) => {
      const { notebook } = checkNotebook(notebookOf(code('1')));
      const inject = async () => injectParameters(notebook, parameters, language);
      const error = await rejectsWith(inject(), Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
      return error.fields.map(({ field, description }) => `${field} ${description}`);
    };
    assert.deepEqual(await sameIn('powershell', { path: 1, Path: 2 }), ['parameters.Path is the same name as "path"']);
    const ligature = '\ufb01le';
    assert.deepEqual(await sameIn('python', { file: 1, [ligature]: { $secret: 'A' } }), [
      `parameters.${ligature} is the same name as "file"`,
    ]);
    const { notebook } = checkNotebook(notebookOf(code('1')));
    assert.deepEqual(injectParameters(notebook, { a: 1, A: 2 }, 'r').parameters, { a: 1, A: 2 });
  });

  for (const [language, names] of Object.entries({
    r: ['_x', '.1a', 'TRUE', 'if', 'x;y', 'x y', '', '...', '..1', 'NA_complex_'],
    scala: ['val', 'x-y', '_', 'x`'],
    julia: ['end', 'x;y', 'x$', '1x', 'Main', 'String', 'eval'],
    matlab: ['_x', 'end', 'x.y', 'é'],
    'c#': ['class', '@x', 'x\\u0061'],
    'f#': ['let', "x'", '``x``'],
    powershell: ['null', 'True', 'args', 'x:y', 'env:PATH', '{x}', 'PSStyle'],
    bash: [
      'PATH',
      'PS4',
      'PROMPT_COMMAND',
      'LD_PRELOAD',
      'x[$(id)]',
      'x y',
      'IFS',
      'RANDOM',
      'SRANDOM',
      'HISTCMD',
      'HISTFILE',
      'BASH_X',
    ],
    python: ['__builtins__', '__builtins_\uff3f', '\u{1d422}f', 'class', 'x;import os'],
  })) {
    it(`is refused in ${language} as a name that is none or that means something to the language itself`, () => {
      const translator = translatorFor(language);
      assert.deepEqual(names.filter(translator.isName), []);
      assert.ok(translator.isName('minRatings') && translator.isName('x1'));
    });
  }
});
