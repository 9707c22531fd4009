import type { FieldViolation } from '../../server/core/errors.ts';
import { parametersInvalid } from '../errors.ts';
import type { DeclaredType } from './declared-type.ts';
import type { Inference } from './infer-typescript.ts';
import { faultsOfValue, kindOf, type Parameters, type ParameterValue } from './parameter-value.ts';
import type { Translator } from './translator.ts';

/**
 * Checks names, values and, where the defaults cell can be read, that every name is declared and has the declared type.
 * Gives the values to inject: integers for a `bigint` parameter may come as numbers or decimal strings.
 * Throws NOTEBOOK_PARAMETERS_INVALID that names every fault as `parameters.<name>`.
 */
export function checkParameters(
  parameters: Readonly<Record<string, unknown>>,
  translator: Translator,
  inference: Inference | undefined,
): Parameters {
  const faults: FieldViolation[] = [];
  const checked: [string, ParameterValue][] = [];
  for (const [name, value] of Object.entries(parameters)) {
    const field = `parameters.${name}`;
    if (!translator.isName(name)) {
      faults.push({ field, description: `${JSON.stringify(name)} is not a variable name` });
      continue;
    }
    const valueFaults = faultsOfValue(value, field);
    faults.push(...valueFaults);
    if (valueFaults.length > 0) continue;
    const outcome = fitParameter(value as ParameterValue, name, inference);
    if ('fault' in outcome) faults.push({ field, description: outcome.fault });
    else checked.push([name, outcome.value]);
  }
  if (faults.length > 0) throw parametersInvalid(faults);
  return Object.fromEntries(checked);
}

type Fit = { readonly value: ParameterValue } | { readonly fault: string };

function fitParameter(value: ParameterValue, name: string, inference: Inference | undefined): Fit {
  if (inference === undefined) return { value };
  const declaration = inference.declarations.get(name);
  if (declaration !== undefined) return fitType(value, declaration.type);
  if (!inference.isComplete) return { value };
  const known = [...inference.declarations.keys()].join(', ');
  return { fault: `the notebook declares no such parameter; it declares ${known}` };
}

function fitType(value: ParameterValue, { kinds, choices }: DeclaredType): Fit {
  if (kinds === undefined) return { value };
  const converted = convertInteger(value, kinds);
  if (!kinds.has(kindOf(converted))) {
    return { fault: `must be ${[...kinds].join(' or ')}, as its default, but is ${kindOf(value)}` };
  }
  if (choices !== undefined && converted !== null && !choices.some((choice) => choice === converted)) {
    return { fault: `must be one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}` };
  }
  return { value: converted };
}

/** JSON has no 64-bit integers: they come as decimal strings, or as numbers where those are exact. */
function convertInteger(value: ParameterValue, kinds: NonNullable<DeclaredType['kinds']>): ParameterValue {
  if (typeof value === 'bigint' && !kinds.has('bigint') && Number.isSafeInteger(Number(value))) return Number(value);
  if (!kinds.has('bigint') || kinds.has(kindOf(value))) return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  return typeof value === 'string' && /^-?\d{1,400}$/.test(value) ? BigInt(value) : value;
}
