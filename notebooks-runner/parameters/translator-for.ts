import { languageUnsupported } from '../errors.ts';
import { pythonTranslator } from './python-translator.ts';
import type { Translator } from './translator.ts';
import { typescriptTranslator } from './typescript-translator.ts';

const translators: Readonly<Record<string, Translator>> = {
  typescript: typescriptTranslator,
  javascript: typescriptTranslator,
  python: pythonTranslator,
};

/** The translator of a language name (any case); NOTEBOOK_LANGUAGE_UNSUPPORTED when there is none. */
export function translatorFor(language: string): Translator {
  const name = language.toLowerCase();
  const found = Object.hasOwn(translators, name) ? translators[name] : undefined;
  if (found === undefined) throw languageUnsupported(language);
  return found;
}
