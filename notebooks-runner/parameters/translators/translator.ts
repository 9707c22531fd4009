import type { FieldViolation } from '../../../server/core/errors.ts';
import type { Inference } from '../inference/inference.ts';
import type { ParameterValue } from '../parameter-value.ts';

/** How parameters are written in one programming language. */
export interface Translator {
  /** First line of the injected cell. */
  readonly comment: string;
  /** True when the text can be bound as a variable: an identifier that is no reserved word. */
  isName(text: string): boolean;
  /** Equal for names that the language takes for one. Default: each name is another. */
  nameKey?(name: string): string;
  /** Every part of a value that the language cannot hold; `field` names the value. */
  faultsOf(value: ParameterValue, field: string): FieldViolation[];
  /** False where a number is a text like any other, as in Bash: then none is made a float by a schema. Default true. */
  readonly hasNumbers?: false;
  /** The value as a literal of the language; the same text always reads back as the same value. */
  literal(value: ParameterValue): string;
  /** One statement that binds `name`; `keyword` is how the defaults cell declared it, where that matters. */
  assignment(name: string, value: ParameterValue, keyword?: string): string;
  /** One statement that binds `name` to the text of an environment variable, by which secrets arrive. */
  secretAssignment(name: string, variable: string, keyword?: string): string;
  /** A line needed before the assignments of these values, e.g. an import. */
  prelude?(values: readonly ParameterValue[]): string | undefined;
  /** What the defaults cell declares; undefined when that cannot be told. */
  infer(source: string): Inference | undefined;
}
