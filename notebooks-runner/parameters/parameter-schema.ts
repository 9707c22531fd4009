import type { FieldViolation } from '../../server/core/errors.ts';
import { notebookInvalid } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import type { Notebook } from '../nbformat/notebook.ts';
import { isList, kindOf, type ParameterValue, WholeFloat } from './parameter-value.ts';

/** JSON Schema subset for one parameter. Source: https://json-schema.org/draft/2020-12/schema */
export interface PropertySchema {
  readonly types: readonly SchemaType[] | undefined;
  readonly choices: readonly JsonValue[] | undefined;
  readonly bounds: Readonly<Partial<Record<Bound, number>>>;
  readonly items: PropertySchema | undefined;
  readonly default: JsonValue | undefined;
  readonly description: string;
  /** From `writeOnly`: the value must be a secret reference. */
  readonly isSecret: boolean;
}

/** What `metadata.showrunner.parameters` declares. */
export interface ParameterSchema {
  readonly properties: ReadonlyMap<string, PropertySchema>;
  readonly required: ReadonlySet<string>;
  /** From `additionalProperties`; false where nothing is said, since a misspelt name is an error. */
  readonly allowsOthers: boolean;
}

const schemaTypes = ['string', 'number', 'integer', 'boolean', 'null', 'array', 'object'] as const;
type SchemaType = (typeof schemaTypes)[number];
const bounds = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
] as const;
type Bound = (typeof bounds)[number];

const known = new Set<string>(
  ['type', 'enum', 'const', 'items', 'default', 'description', 'title', 'examples', 'writeOnly', '$comment'].concat(
    bounds,
  ),
);
const knownAtTop = new Set([
  '$schema',
  'type',
  'properties',
  'required',
  'additionalProperties',
  'title',
  'description',
]);
const root = 'metadata.showrunner.parameters';
const maxDepth = 10;

/**
 * The declared schema of a notebook's parameters; undefined when it declares none. Throws NOTEBOOK_INVALID for a schema
 * that uses what we do not check: a rule must not be thought to hold.
 */
export function readParameterSchema(notebook: Notebook): ParameterSchema | undefined {
  const own = notebook.metadata['showrunner'];
  const value = isJsonObject(own) ? own['parameters'] : undefined;
  if (value === undefined) return undefined;
  if (!isJsonObject(value)) throw notebookInvalid(root, 'must be a JSON Schema object');
  for (const key of Object.keys(value)) if (!knownAtTop.has(key)) throw unsupported(root, key, knownAtTop);
  if ((value['type'] ?? 'object') !== 'object') throw notebookInvalid(`${root}.type`, 'must be "object"');
  const properties = value['properties'] ?? {};
  if (!isJsonObject(properties)) throw notebookInvalid(`${root}.properties`, 'must be an object');
  const required = value['required'] ?? [];
  if (
    !Array.isArray(required) ||
    !required.every((name) => typeof name === 'string' && Object.hasOwn(properties, name))
  ) {
    throw notebookInvalid(`${root}.required`, 'must list names of properties');
  }
  const others = value['additionalProperties'] ?? false;
  if (typeof others !== 'boolean') throw notebookInvalid(`${root}.additionalProperties`, 'must be true or false');
  return {
    properties: new Map(
      Object.entries(properties).map(([name, item]) => [name, readProperty(item, `${root}.properties.${name}`, 0)]),
    ),
    required: new Set(required.map(String)),
    allowsOthers: others,
  };
}

function readProperty(value: JsonValue, path: string, depth: number): PropertySchema {
  if (!isJsonObject(value) || depth > maxDepth) throw notebookInvalid(path, 'must be a JSON Schema object');
  for (const key of Object.keys(value)) if (!known.has(key)) throw unsupported(path, key, known);
  const choices = value['const'] === undefined ? value['enum'] : [value['const']];
  if (choices !== undefined && (!Array.isArray(choices) || choices.length === 0)) {
    throw notebookInvalid(`${path}.enum`, 'must be a list of values');
  }
  const { items, description = '' } = value as { items?: JsonValue; description?: JsonValue };
  if (typeof description !== 'string') throw notebookInvalid(`${path}.description`, 'must be text');
  const schema: PropertySchema = {
    types: readTypes(value['type'], path),
    choices,
    bounds: readBounds(value, path),
    items: items === undefined ? undefined : readProperty(items, `${path}.items`, depth + 1),
    default: value['default'],
    description,
    isSecret: value['writeOnly'] === true,
  };
  const fault = schema.default === undefined ? [] : faultsBySchema(schema.default, schema, `${path}.default`);
  if (fault[0] !== undefined) throw notebookInvalid(fault[0].field, fault[0].description);
  return schema;
}

function readTypes(value: JsonValue | undefined, path: string): SchemaType[] | undefined {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  const types = schemaTypes.filter((type) => list.includes(type));
  if (types.length === 0 || types.length !== list.length) {
    throw notebookInvalid(`${path}.type`, `must be of ${schemaTypes.join(', ')}`);
  }
  return types;
}

function readBounds(value: JsonObject, path: string): Partial<Record<Bound, number>> {
  const found: Partial<Record<Bound, number>> = {};
  for (const name of bounds) {
    const bound = value[name];
    if (bound === undefined) continue;
    if (typeof bound !== 'number') throw notebookInvalid(`${path}.${name}`, 'must be a number');
    found[name] = bound;
  }
  return found;
}

function unsupported(path: string, key: string, supported: ReadonlySet<string>) {
  return notebookInvalid(`${path}.${key}`, `is not supported; supported: ${[...supported].join(', ')}`);
}

/** Every way in which the value breaks the schema. */
export function faultsBySchema(given: ParameterValue, schema: PropertySchema, field: string): FieldViolation[] {
  const value = given instanceof WholeFloat ? given.value : given;
  const { types, choices, items } = schema;
  const fault = (description: string) => [{ field, description }];
  if (types !== undefined && !types.some((type) => isOfType(value, type))) {
    return fault(`must be ${types.join(' or ')}, but is ${kindOf(value)}`);
  }
  if (choices !== undefined && !choices.some((choice) => isSame(choice, value))) {
    return fault(`must be one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`);
  }
  const broken = brokenBound(value, schema.bounds);
  if (broken !== undefined) return fault(broken);
  if (items === undefined || !isList(value)) return [];
  return value.flatMap((item, index) => faultsBySchema(item, items, `${field}[${index}]`));
}

function isOfType(value: ParameterValue, type: SchemaType): boolean {
  const kind = kindOf(value);
  switch (type) {
    case 'string':
      return kind === 'string' || kind === 'date' || kind === 'bytes';
    case 'number':
      return kind === 'number' || kind === 'bigint';
    case 'integer':
      return kind === 'bigint' || Number.isInteger(value);
    case 'array':
      return kind === 'list';
    default:
      return kind === type;
  }
}

/** Numbers by what they are worth, lists by their items, objects by their keys in any order. */
function isSame(choice: JsonValue, given: ParameterValue): boolean {
  const value = given instanceof WholeFloat ? given.value : given;
  if (typeof value === 'bigint') return Number.isInteger(choice) && BigInt(Number(choice)) === value;
  if (isList(value)) {
    return (
      Array.isArray(choice) && choice.length === value.length && value.every((item, i) => isSame(at(choice, i), item))
    );
  }
  if (kindOf(value) !== 'object') return choice === value;
  const entries = Object.entries(value as Readonly<Record<string, ParameterValue>>);
  if (!isJsonObject(choice) || Object.keys(choice).length !== entries.length) return false;
  return entries.every(([key, item]) => Object.hasOwn(choice, key) && isSame(choice[key] ?? null, item));
}

function at(list: readonly JsonValue[], index: number): JsonValue {
  return list[index] ?? null;
}

function brokenBound(value: ParameterValue, limits: PropertySchema['bounds']): string | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems } = limits;
  if (typeof value === 'number' || typeof value === 'bigint') {
    // NaN breaks every bound: it is on no side of it.
    if (minimum !== undefined && !(value >= minimum)) return `must be at least ${minimum}, but is ${value}`;
    if (maximum !== undefined && !(value <= maximum)) return `must be at most ${maximum}, but is ${value}`;
    if (exclusiveMinimum !== undefined && !(value > exclusiveMinimum)) return `must be over ${exclusiveMinimum}`;
    if (exclusiveMaximum !== undefined && !(value < exclusiveMaximum)) return `must be under ${exclusiveMaximum}`;
  }
  const size = typeof value === 'string' ? [...value].length : isList(value) ? value.length : undefined;
  const [least, most, what] =
    typeof value === 'string' ? [minLength, maxLength, 'characters'] : [minItems, maxItems, 'items'];
  if (size !== undefined && least !== undefined && size < least) return `must have at least ${least} ${what}`;
  if (size !== undefined && most !== undefined && size > most) return `must have at most ${most} ${what}`;
  return undefined;
}
