import type { Notebook } from '../nbformat/notebook.ts';
import type { Declaration } from './inference/inference.ts';
import { inferParameters } from './inject-parameters.ts';
import { type PropertySchema, readParameterSchema } from './parameter-schema.ts';

/** One parameter of a notebook, as a person or a form needs it. */
export interface InspectedParameter {
  readonly name: string;
  /** From the schema, the annotation or the default, e.g. `integer`, `string | null`; `any` when not known. */
  readonly type: string;
  /** The default as it is written: source text of the notebook's language, or JSON from the schema; else empty. */
  readonly defaultText: string;
  readonly help: string;
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  /** Allowed values as JSON; empty = any of the type. */
  readonly choices: readonly string[];
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
}

/** What a notebook takes. */
export interface ParameterInspection {
  readonly parameters: readonly InspectedParameter[];
  /** True when other names are refused. */
  readonly isStrict: boolean;
}

/**
 * The parameters that a notebook's schema and defaults cell declare, in that order. Nothing is run.
 * Throws NOTEBOOK_INVALID for a schema that cannot be used.
 */
export function inspectParameters(notebook: Notebook, language: string, kernelName = ''): ParameterInspection {
  const schema = readParameterSchema(notebook);
  const inference = inferParameters(notebook, language, kernelName);
  const names = new Set([...(schema?.properties.keys() ?? []), ...(inference?.declarations.keys() ?? [])]);
  const isComplete = inference?.isComplete ?? schema !== undefined;
  return {
    parameters: [...names].map((name) =>
      describe(
        name,
        schema?.properties.get(name),
        inference?.declarations.get(name),
        schema?.required.has(name) === true,
      ),
    ),
    isStrict: isComplete && schema?.allowsOthers !== true,
  };
}

function describe(
  name: string,
  property: PropertySchema | undefined,
  declaration: Declaration | undefined,
  isRequired: boolean,
): InspectedParameter {
  const choices = property?.choices ?? declaration?.type.choices ?? [];
  const schemaDefault = property?.default === undefined ? '' : JSON.stringify(property.default);
  return {
    name,
    type: property?.types?.join(' | ') ?? typeText(declaration),
    defaultText: declaration?.defaultText || schemaDefault,
    help: property?.description || (declaration?.help ?? ''),
    isRequired,
    isSecret: property?.isSecret ?? false,
    choices: choices.map((choice) => JSON.stringify(choice)),
    minimum: property?.bounds.minimum,
    maximum: property?.bounds.maximum,
  };
}

function typeText(declaration: Declaration | undefined): string {
  if (declaration === undefined) return 'any';
  const { annotationText, type } = declaration;
  if (annotationText !== '') return annotationText;
  if (type.kinds === undefined) return 'any';
  if (type.isInteger === true) return 'integer';
  return [...type.kinds].filter((kind) => !(kind === 'bigint' && type.kinds?.has('number'))).join(' | ');
}
