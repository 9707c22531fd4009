/** Kernel of a notebook. */
export type Language = 'deno' | 'python3';

const languageOf: Readonly<Record<Language, string>> = { deno: 'typescript', python3: 'python' };

/** An nbformat 4.5 document of code cells; `first` goes before them, declared as the language wants. */
export function notebookOf(language: Language, sources: readonly string[], first?: string): object {
  const declared = first === undefined ? [] : [language === 'deno' ? `let ${first}` : first];
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: language, display_name: language, language: languageOf[language] } },
    cells: [...declared, ...sources].map((source, index) => ({
      cell_type: 'code',
      id: `c${index}`,
      metadata: {},
      source,
      outputs: [],
      execution_count: null,
    })),
  };
}

/** A cell that prints numbered lines. */
export function printLines(language: Language, count: number): string {
  return language === 'deno'
    ? `for (let i = 0; i < ${count}; i++) console.log("line " + i)`
    : `for i in range(${count}): print("line", i)`;
}
