import type { FieldViolation } from '../../server/core/errors.ts';
import { parametersInvalid } from '../errors.ts';
import { anything, type DeclaredType } from './inference/declared-type.ts';
import type { Inference } from './inference/inference.ts';
import { faultsBySchema, type ParameterSchema, type PropertySchema } from './parameter-schema.ts';
import {
  asFloat,
  asInteger,
  faultsOfValue,
  isList,
  kindOf,
  type Parameters,
  type ParameterValue,
  WholeFloat,
} from './parameter-value.ts';
import { holdsNestedSecret, isSecretName, secretNameOf } from './secret-reference.ts';
import { decodeTaggedValues } from './tagged-value.ts';
import type { Translator } from './translators/translator.ts';

/** What the notebook says about its parameters. */
export interface ParameterRules {
  readonly translator: Translator;
  /** What the defaults cell declares; undefined when it cannot be told: then any name is taken. */
  readonly inference: Inference | undefined;
  readonly schema: ParameterSchema | undefined;
}

/** Parameters that may be injected. */
export interface CheckedParameters {
  readonly values: Parameters;
  /** Parameter → name of the secret that it gets. */
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * Checks names, values and, where the notebook declares them (schema, defaults cell), that every name is declared and
 * has the declared type. Gives the values to inject, with defaults that only the schema has: integers for a `bigint`
 * parameter may come as numbers or decimal strings, and whole numbers for a float are floats. Throws NOTEBOOK_PARAMETERS_INVALID that names every fault as
 * `parameters.<name>`.
 */
export function checkParameters(
  parameters: Readonly<Record<string, unknown>>,
  rules: ParameterRules,
): CheckedParameters {
  const faults: FieldViolation[] = [];
  const values: [string, ParameterValue][] = [];
  const secrets: [string, string][] = [];
  for (const [name, given] of Object.entries(withSchemaDefaults(parameters, rules))) {
    const checked = checkParameter(name, given, rules);
    if ('faults' in checked) faults.push(...checked.faults);
    else if ('secret' in checked) secrets.push([name, checked.secret]);
    else values.push([name, checked.value]);
  }
  for (const name of rules.schema?.required ?? []) {
    if (!Object.hasOwn(parameters, name)) faults.push({ field: `parameters.${name}`, description: 'is required' });
  }
  faults.push(...sameNames([...values, ...secrets], rules.translator));
  if (faults.length > 0) throw parametersInvalid(faults);
  return { values: Object.fromEntries(values), secrets: Object.fromEntries(secrets) };
}

/** Names that the language takes for one: which value would count depends on their order. */
function sameNames(given: readonly (readonly [name: string, value: unknown])[], { nameKey }: Translator) {
  const first = new Map<string, string>();
  return given.flatMap(([name]): FieldViolation[] => {
    const key = nameKey?.(name) ?? name;
    const other = first.get(key);
    if (other === undefined) first.set(key, name);
    return other === undefined ? [] : [{ field: `parameters.${name}`, description: `is the same name as "${other}"` }];
  });
}

/** A default that the defaults cell has too is not injected: it is there already. */
function withSchemaDefaults(parameters: Readonly<Record<string, unknown>>, { schema, inference }: ParameterRules) {
  const added = [...(schema?.properties ?? [])].flatMap(([name, { default: value }]) =>
    value === undefined || Object.hasOwn(parameters, name) || inference?.declarations.has(name) === true
      ? []
      : [[name, value] as const],
  );
  return { ...parameters, ...Object.fromEntries(added) };
}

type Checked =
  | { readonly faults: readonly FieldViolation[] }
  | { readonly secret: string }
  | { readonly value: ParameterValue };

function checkParameter(name: string, given: unknown, rules: ParameterRules): Checked {
  const { translator, inference, schema } = rules;
  const field = `parameters.${name}`;
  const refuse = (description: string): Checked => ({ faults: [{ field, description }] });
  if (!translator.isName(name)) return refuse(`${JSON.stringify(name)} is not a variable name that may be set`);
  const property = schema?.properties.get(name);
  const declaration = inference?.declarations.get(name);
  if (property === undefined && declaration === undefined && isNameRefused(name, rules)) {
    const names = [...new Set([...(schema?.properties.keys() ?? []), ...(inference?.declarations.keys() ?? [])])];
    return refuse(`the notebook declares no such parameter; it declares ${names.join(', ') || 'none'}`);
  }
  const secret = secretNameOf(given);
  if (secret !== undefined) return isSecretName(secret) ? { secret } : refuse('names no possible secret');
  if (property?.isSecret === true) return refuse('is a secret: give it by reference, {"$secret": "NAME"}');
  if (holdsNestedSecret(given)) return refuse('holds a secret inside: only a whole parameter can be one');
  const value = decodeTaggedValues(given);
  const valueFaults = faultsOfValue(value, field);
  if (valueFaults.length > 0) return { faults: valueFaults };
  const type = declaration?.type ?? anything;
  const fit = fitType(convertNumbers(value as ParameterValue, type, property, translator), type);
  if ('fault' in fit) return refuse(fit.fault);
  const faults = [
    ...(property === undefined ? [] : faultsBySchema(fit.value, property, field)),
    ...translator.faultsOf(fit.value, field),
  ];
  return faults.length > 0 ? { faults } : fit;
}

/** What papermill injects on demand, whether a notebook declares it or not. */
const pathNames = new Set(['PAPERMILL_INPUT_PATH', 'PAPERMILL_OUTPUT_PATH']);

/** Whether a name that is declared nowhere is an error. */
function isNameRefused(name: string, { schema, inference }: ParameterRules): boolean {
  if (pathNames.has(name)) return false;
  if (schema !== undefined) return !schema.allowsOthers && inference?.isComplete !== false;
  return inference?.isComplete === true;
}

type Fit = { readonly value: ParameterValue } | { readonly fault: string };

function fitType(value: ParameterValue, { kinds, choices, isInteger }: DeclaredType): Fit {
  if (kinds === undefined) return { value };
  const converted = convertInteger(value, kinds);
  if (!kinds.has(kindOf(converted))) {
    return { fault: `must be ${namesOf(kinds)}, as its default, but is ${kindOf(value)}` };
  }
  const number = converted instanceof WholeFloat ? converted.value : converted;
  if (isInteger === true && typeof number === 'number' && !Number.isInteger(number)) {
    return { fault: `must be a whole number, as its default, but is ${number}; declare it as float to allow it` };
  }
  if (choices !== undefined && converted !== null && !choices.some((choice) => choice === number)) {
    return { fault: `must be one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}` };
  }
  return { value: converted };
}

function namesOf(kinds: NonNullable<DeclaredType['kinds']>): string {
  const isAnyNumber = kinds.has('number') && kinds.has('bigint');
  return [...kinds].filter((kind) => !(isAnyNumber && kind === 'bigint')).join(' or ');
}

/**
 * Whole numbers as the declared type has them: JSON cannot tell `1` from `1.0`. What the defaults cell says goes before
 * the schema, whose `number` is a float unless it may be an `integer` too. What neither says stays as it was given.
 */
function convertNumbers(
  value: ParameterValue,
  type: DeclaredType,
  property: PropertySchema | undefined,
  translator: Translator,
): ParameterValue {
  if (isList(value)) {
    const items = property?.items;
    return items === undefined ? value : value.map((item) => convertNumbers(item, anything, items, translator));
  }
  const allows = (name: 'integer' | 'number') => property?.types?.includes(name) === true;
  const number = value instanceof WholeFloat ? value.value : value;
  if (type.isInteger ?? (allows('integer') && !allows('number') && type.isFloat !== true)) {
    if (typeof number !== 'number' || !Number.isInteger(number)) return number;
    return type.isInteger === true ? asInteger(number) : Number.isSafeInteger(number) ? number + 0 : number;
  }
  const isFloat = type.isFloat ?? (allows('number') && !allows('integer') && translator.hasNumbers !== false);
  if (!isFloat) return value;
  // An integer that no float is stays one.
  if (typeof number === 'bigint') return isExact(number) ? asFloat(Number(number)) : number;
  return typeof number === 'number' ? asFloat(number) : number;
}

function isExact(value: bigint): boolean {
  const number = Number(value);
  return Number.isFinite(number) && BigInt(number) === value;
}

/** JSON has no 64-bit integers: they come as decimal strings, or as numbers where those are exact. */
function convertInteger(given: ParameterValue, kinds: NonNullable<DeclaredType['kinds']>): ParameterValue {
  const value = given instanceof WholeFloat && kinds.has('bigint') && !kinds.has('number') ? given.value : given;
  if (typeof value === 'bigint' && !kinds.has('bigint') && Number.isSafeInteger(Number(value))) return Number(value);
  if (!kinds.has('bigint') || kinds.has('number') || kinds.has(kindOf(value))) return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  return typeof value === 'string' && /^-?\d{1,400}$/.test(value) ? BigInt(value) : value;
}
