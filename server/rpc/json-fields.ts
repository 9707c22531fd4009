import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { toJson } from '@bufbuild/protobuf';
import { ListValueSchema, StructSchema, ValueSchema } from '@bufbuild/protobuf/wkt';
import { type FieldViolation, invalidFields } from '../core/errors.ts';

/** A field that holds JSON, or a message in which such a field lies. */
interface JsonField {
  readonly field: DescField;
  /** Undefined: the field itself is JSON. */
  readonly within: DescMessage | undefined;
}

const jsonTypes: ReadonlySet<string> = new Set([StructSchema.typeName, ValueSchema.typeName, ListValueSchema.typeName]);
const plans = new WeakMap<DescMessage, readonly JsonField[]>();

function planOf(desc: DescMessage): readonly JsonField[] {
  const known = plans.get(desc);
  if (known !== undefined) return known;
  const plan = desc.fields.flatMap((field): JsonField[] => {
    const message = field.message ?? undefined;
    if (message === undefined || !holdsJson(message, new Set())) return [];
    return [{ field, within: jsonTypes.has(message.typeName) ? undefined : message }];
  });
  plans.set(desc, plan);
  return plan;
}

/** `seen`: messages that were looked into, since they may hold themselves. */
function holdsJson(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (jsonTypes.has(desc.typeName)) return true;
  if (seen.has(desc)) return false;
  seen.add(desc);
  return desc.fields.some(({ message }) => message != null && holdsJson(message, seen));
}

/**
 * Throws INVALID_FIELDS that names every JSON field of a request with a number that JSON has not, or without a value:
 * protobuf carries both, and nothing that reads or stores JSON takes them.
 */
export function checkJsonFields(desc: DescMessage, message: unknown): void {
  const plan = planOf(desc);
  if (plan.length === 0) return;
  const faults = faultsOf(plan, message, '');
  if (faults.length > 0) throw invalidFields(faults);
}

function faultsOf(plan: readonly JsonField[], message: unknown, at: string): FieldViolation[] {
  return plan.flatMap(({ field, within }) =>
    valuesOf(field, message, `${at}${field.name}`).flatMap(([path, value]) => {
      if (within !== undefined) return faultsOf(planOf(within), value, `${path}.`);
      return isJson(field, value) ? [] : [{ field: path, description: 'must hold values and finite numbers only' }];
    }),
  );
}

/** What a field holds, each with its path; nothing for one that is absent. */
function valuesOf(field: DescField, message: unknown, at: string): [path: string, value: unknown][] {
  const value = memberOf(field, message as Readonly<Record<string, unknown>>);
  if (value === undefined || value === null) return [];
  if (field.fieldKind === 'list') return (value as unknown[]).map((each, index) => [`${at}[${index}]`, each]);
  if (field.fieldKind === 'map')
    return Object.entries(value).map(([key, each]) => [`${at}[${key.slice(0, 64)}]`, each]);
  return [[at, value]];
}

function memberOf({ oneof, localName }: DescField, message: Readonly<Record<string, unknown>>): unknown {
  if (oneof === undefined) return message[localName];
  const chosen = message[oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

/** A Struct is an object of JSON already; its siblings are messages. */
function isJson({ message }: DescField, value: unknown): boolean {
  if (message?.typeName === StructSchema.typeName) return hasFiniteNumbers(value);
  try {
    toJson(message?.typeName === ValueSchema.typeName ? ValueSchema : ListValueSchema, value as never);
    return true;
  } catch {
    return false;
  }
}

function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(hasFiniteNumbers);
}
