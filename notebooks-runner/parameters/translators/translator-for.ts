import { languageUnsupported } from '../../errors.ts';
import { bashTranslator } from './bash-translator.ts';
import { csharpTranslator } from './csharp-translator.ts';
import { fsharpTranslator } from './fsharp-translator.ts';
import { juliaTranslator } from './julia-translator.ts';
import { matlabTranslator } from './matlab-translator.ts';
import { powershellTranslator } from './powershell-translator.ts';
import { pythonTranslator } from './python-translator.ts';
import { rTranslator } from './r-translator.ts';
import { scalaTranslator } from './scala-translator.ts';
import type { Translator } from './translator.ts';
import { typescriptTranslator } from './typescript-translator.ts';

/** By kernel or language name, lower-case; the kernel names are those that Papermill knows. */
const translators: Readonly<Record<string, Translator>> = {
  typescript: typescriptTranslator,
  javascript: typescriptTranslator,
  python: pythonTranslator,
  python3: pythonTranslator,
  pysparkkernel: pythonTranslator,
  r: rTranslator,
  ir: rTranslator,
  sparkrkernel: rTranslator,
  scala: scalaTranslator,
  sparkkernel: scalaTranslator,
  julia: juliaTranslator,
  matlab: matlabTranslator,
  'c#': csharpTranslator,
  csharp: csharpTranslator,
  '.net-csharp': csharpTranslator,
  'f#': fsharpTranslator,
  fsharp: fsharpTranslator,
  '.net-fsharp': fsharpTranslator,
  powershell: powershellTranslator,
  pwsh: powershellTranslator,
  '.net-powershell': powershellTranslator,
  bash: bashTranslator,
};

/** The translator of a kernel name, else of a language name (any case); NOTEBOOK_LANGUAGE_UNSUPPORTED without one. */
export function translatorFor(language: string, kernelName = ''): Translator {
  for (const name of [kernelName.toLowerCase(), language.toLowerCase()]) {
    if (!Object.hasOwn(translators, name)) continue;
    const found = translators[name];
    if (found !== undefined) return found;
  }
  throw languageUnsupported(language);
}
