import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { type FieldViolation, invalidFields } from '../../core/errors.ts';

/** JSON Schema subset. Source: https://json-schema.org/draft/2020-12/schema */
export interface ParameterSchema {
  readonly type?: SchemaType | readonly SchemaType[];
  readonly properties?: Readonly<Record<string, ParameterSchema>>;
  readonly required?: readonly string[];
  /** False where nothing is said: a misspelt name is an error. */
  readonly additionalProperties?: boolean;
  readonly items?: ParameterSchema;
  readonly enum?: readonly Json[];
  readonly const?: Json;
  readonly default?: Json;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly title?: string;
  readonly description?: string;
}

const schemaTypes = ['string', 'number', 'integer', 'boolean', 'null', 'array', 'object'] as const;
type SchemaType = (typeof schemaTypes)[number];

const isText = (value: Json) => typeof value === 'string';
const isNumber = (value: Json) => typeof value === 'number';
const isCount = (value: Json) => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isTypeName = (value: Json) => schemaTypes.some((type) => type === value);
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** What each keyword must be; others are refused, so that no rule is thought to hold that is not checked. */
const keywords: Readonly<Record<string, readonly [check: (value: Json) => boolean, expected: string]>> = {
  $schema: [isText, 'text'],
  title: [isText, 'text'],
  description: [isText, 'text'],
  type: [
    (value) => isTypeName(value) || (isList(value) && value.length > 0 && value.every(isTypeName)),
    `one or more of ${schemaTypes.join(', ')}`,
  ],
  properties: [isObject, 'an object'],
  required: [(value) => isList(value) && value.every(isText), 'a list of names'],
  additionalProperties: [(value) => typeof value === 'boolean', 'true or false'],
  items: [isObject, 'a schema'],
  enum: [(value) => isList(value) && value.length > 0, 'a list of values'],
  const: [() => true, 'a value'],
  default: [() => true, 'a value'],
  minimum: [isNumber, 'a number'],
  maximum: [isNumber, 'a number'],
  exclusiveMinimum: [isNumber, 'a number'],
  exclusiveMaximum: [isNumber, 'a number'],
  minLength: [isCount, 'a whole number from 0'],
  maxLength: [isCount, 'a whole number from 0'],
  minItems: [isCount, 'a whole number from 0'],
  maxItems: [isCount, 'a whole number from 0'],
};
const maxDepth = 10;

/** Checks a schema, with its defaults. Throws INVALID_FIELDS that names every fault. */
export function checkSchema(value: Json, field: string): ParameterSchema {
  const faults = schemaFaults(value, field, 0);
  if (faults.length > 0) throw invalidFields(faults);
  return value as ParameterSchema;
}

function schemaFaults(value: Json, field: string, depth: number): FieldViolation[] {
  if (!isObject(value) || depth > maxDepth)
    return [{ field, description: `must be a schema, ${maxDepth} deep at most` }];
  const faults = Object.entries(value).flatMap(([key, member]): FieldViolation[] => {
    const rule = Object.hasOwn(keywords, key) ? keywords[key] : undefined;
    const at = `${field}.${key}`;
    if (rule === undefined) {
      return [{ field: at, description: `is not supported; supported: ${Object.keys(keywords).join(', ')}` }];
    }
    return rule[0](member) ? [] : [{ field: at, description: `must be ${rule[1]}` }];
  });
  if (faults.length > 0) return faults;
  const schema = value as ParameterSchema;
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    schemaFaults(property as Json, `${field}.properties.${name}`, depth + 1),
  );
  if (schema.items !== undefined) inner.push(...schemaFaults(schema.items as Json, `${field}.items`, depth + 1));
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(schema.properties ?? {}, name)) {
      inner.push({ field: `${field}.required`, description: `"${name}" is no property` });
    }
  }
  if (inner.length > 0 || schema.default === undefined) return inner;
  return valueFaults(withDefaults(schema.default, schema), schema, `${field}.default`);
}

/** The parameters with defaults. Throws INVALID_FIELDS that names every way in which they break the schema. */
export function fillParameters(params: Json, schema: ParameterSchema | undefined, field: string): Json {
  if (schema === undefined) return params;
  const filled = withDefaults(params, schema);
  const faults = valueFaults(filled, schema, field);
  if (faults.length > 0) throw invalidFields(faults);
  return filled;
}

/** The value with the defaults of the schema where it says nothing, at every depth. */
export function withDefaults(value: Json, schema: ParameterSchema): Json {
  if (isList(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => withDefaults(item, items));
  }
  if (!isObject(value)) return value;
  const filled: Record<string, Json> = { ...value };
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const given = Object.hasOwn(value, name) ? value[name] : property.default;
    if (given !== undefined) filled[name] = withDefaults(given, property);
  }
  return filled;
}

/** Every way in which the value breaks the schema; `field` is the path of the value. */
export function valueFaults(value: Json, schema: ParameterSchema, field: string): FieldViolation[] {
  const fault = (description: string) => [{ field, description }];
  const types = schema.type === undefined ? undefined : [schema.type].flat();
  if (types !== undefined && !types.some((type) => isOfType(value, type))) {
    return fault(`must be ${types.join(' or ')}, but is ${kindOf(value)}`);
  }
  const choices = schema.const === undefined ? schema.enum : [schema.const];
  if (choices !== undefined && !choices.some((choice) => isDeepStrictEqual(choice, value))) {
    return fault(`must be one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`);
  }
  const broken = brokenBound(value, schema);
  if (broken !== undefined) return fault(broken);
  if (isList(value)) {
    const { items } = schema;
    return items === undefined ? [] : value.flatMap((item, i) => valueFaults(item, items, `${field}[${i}]`));
  }
  return isObject(value) ? memberFaults(value, schema, field) : [];
}

function memberFaults(value: JsonObject, schema: ParameterSchema, field: string): FieldViolation[] {
  const { properties = {}, required = [], additionalProperties = schema.properties === undefined } = schema;
  const missing = required
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => ({ field: `${field}.${name}`, description: 'must be set' }));
  const members = Object.entries(value).flatMap(([name, member]) => {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (property !== undefined) return valueFaults(member, property, `${field}.${name}`);
    if (additionalProperties) return [];
    const known = Object.keys(properties).join(', ');
    return [{ field: `${field}.${name}`, description: `no such parameter; there are: ${known}` }];
  });
  return [...missing, ...members];
}

type JsonObject = { readonly [key: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: Json): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function isOfType(value: Json, type: SchemaType): boolean {
  if (type === 'integer') return typeof value === 'number' && Number.isInteger(value);
  return kindOf(value) === type;
}

function brokenBound(value: Json, schema: ParameterSchema): string | undefined {
  if (typeof value === 'number') {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
    if (minimum !== undefined && value < minimum) return `must be at least ${minimum}, but is ${value}`;
    if (maximum !== undefined && value > maximum) return `must be at most ${maximum}, but is ${value}`;
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `must be over ${exclusiveMinimum}`;
    if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return `must be under ${exclusiveMaximum}`;
  }
  if (typeof value !== 'string' && !isList(value)) return undefined;
  const [size, least, most, what] =
    typeof value === 'string'
      ? [[...value].length, schema.minLength, schema.maxLength, 'characters']
      : [value.length, schema.minItems, schema.maxItems, 'items'];
  if (least !== undefined && size < least) return `must have at least ${least} ${what}, but has ${size}`;
  return most !== undefined && size > most ? `must have at most ${most} ${what}, but has ${size}` : undefined;
}
