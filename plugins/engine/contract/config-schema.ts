import type { FieldViolation } from '../../../server/core/errors.ts';

/**
 * Reads an untyped configuration value. A fault is pushed with its place and what was expected, never with the
 * value itself, which may be a secret; the returned value is then not used.
 */
export interface Schema<T> {
  read(raw: unknown, at: string, faults: FieldViolation[]): T;
  /** What is expected, for people: shown in listings and errors. */
  readonly expects: string;
  /**
   * The value as it may be shown, undefined for a secret. A schema without it shows nothing: what it reads is
   * not known to be harmless.
   */
  show?(raw: unknown): unknown;
}

/** The type that a schema reads. */
export type SchemaValue<S> = S extends Schema<infer T> ? T : never;

/** Says what is wrong at a place within a value. */
type FaultTeller = (place: string, description: string) => void;

function checked<T>(expects: string, accept: (raw: unknown) => raw is T): Schema<T> {
  return {
    expects,
    show: (raw) => raw,
    read: (raw, at, faults) => {
      if (!accept(raw)) faults.push({ field: at, description: `expected ${expects}` });
      return raw as T;
    },
  };
}

function isRecord(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}

function isShown(value: unknown): boolean {
  return value !== undefined;
}

function showFields(raw: unknown, schemaOf: (name: string) => Schema<unknown> | undefined): unknown {
  if (!isRecord(raw)) return undefined;
  const shown = Object.entries(raw).map(([name, value]) => [name, schemaOf(name)?.show?.(value)]);
  return Object.fromEntries(shown.filter(([, value]) => isShown(value)));
}

/** A value that is never shown: listings leave it out. */
function secret<T>(schema: Schema<T>): Schema<T> {
  return { expects: schema.expects, read: schema.read, show: () => undefined };
}

/** Text of `least` (default 1) to `most` (default 4096) characters. */
function text(least = 1, most = 4096): Schema<string> {
  const accept = (raw: unknown): raw is string => typeof raw === 'string' && raw.length >= least && raw.length <= most;
  return checked(`text of ${least} to ${most} characters`, accept);
}

/** A finite number from `least` to `most`, both included. */
function number(least: number, most: number): Schema<number> {
  const accept = (raw: unknown): raw is number => typeof raw === 'number' && raw >= least && raw <= most;
  return checked(`a number from ${least} to ${most}`, accept);
}

/** A whole number from `least` to `most`, both included. */
function integer(least: number, most: number): Schema<number> {
  const accept = (raw: unknown): raw is number =>
    Number.isSafeInteger(raw) && Number(raw) >= least && Number(raw) <= most;
  return checked(`a whole number from ${least} to ${most}`, accept);
}

/** True or false; nothing else is read as one. */
function flag(): Schema<boolean> {
  return checked('true or false', (raw): raw is boolean => typeof raw === 'boolean');
}

/** One of these texts, as written. */
function oneOf<const T extends string>(...allowed: readonly T[]): Schema<T> {
  return checked(`one of ${allowed.join(', ')}`, (raw): raw is T => allowed.some((name) => name === raw));
}

/** A list of at most `most` (default 1000) items. */
function list<T>(item: Schema<T>, most = 1000): Schema<readonly T[]> {
  const expects = `a list of at most ${most} items, each ${item.expects}`;
  return {
    expects,
    show: (raw) => (Array.isArray(raw) ? raw.map((value) => item.show?.(value)).filter(isShown) : undefined),
    read: (raw, at, faults) => {
      if (Array.isArray(raw) && raw.length <= most) {
        return raw.map((value, index) => item.read(value, `${at}[${index}]`, faults));
      }
      faults.push({ field: at, description: `expected ${expects}` });
      return [];
    },
  };
}

/** An object with any keys, all of one value type; at most `most` (default 1000) keys. */
function table<T>(value: Schema<T>, most = 1000): Schema<ReadonlyMap<string, T>> {
  const expects = `an object of at most ${most} keys, each with ${value.expects}`;
  return {
    expects,
    show: (raw) => showFields(raw, () => value),
    read: (raw, at, faults) => {
      if (isRecord(raw) && Object.keys(raw).length <= most) {
        return new Map(Object.entries(raw).map(([key, entry]) => [key, value.read(entry, `${at}.${key}`, faults)]));
      }
      faults.push({ field: at, description: `expected ${expects}` });
      return new Map();
    },
  };
}

/** Absent (or null) reads as `fallback`. */
function withDefault<T, const D>(schema: Schema<T>, fallback: D): Schema<T | D> {
  return {
    expects: `${schema.expects} (default ${JSON.stringify(fallback)})`,
    show: (raw) => schema.show?.(raw),
    read: (raw, at, faults) => (raw === undefined || raw === null ? fallback : schema.read(raw, at, faults)),
  };
}

/** Absent (or null) reads as undefined. */
function optional<T>(schema: Schema<T>): Schema<T | undefined> {
  return withDefault(schema, undefined);
}

/** An object with exactly these fields; an unknown field is a fault (typos). Absent reads as `{}`. */
function shape<S extends Record<string, Schema<unknown>>>(
  fields: S,
): Schema<{ readonly [K in keyof S]: SchemaValue<S[K]> }> {
  const names = Object.keys(fields);
  return {
    expects: `an object of ${names.join(', ')}`,
    show: (raw) => showFields(raw, (name) => fields[name]),
    read: (raw, at, faults) => {
      const given = raw ?? {};
      const result: Record<string, unknown> = {};
      if (!isRecord(given)) {
        faults.push({ field: at, description: `expected an object of ${names.join(', ')}` });
        return result as never;
      }
      for (const name of Object.keys(given)) {
        if (!Object.hasOwn(fields, name)) {
          faults.push({ field: `${at}.${name}`, description: `no such field; known are ${names.join(', ')}` });
        }
      }
      for (const [name, field] of Object.entries(fields)) {
        result[name] = field.read(Object.hasOwn(given, name) ? given[name] : undefined, `${at}.${name}`, faults);
      }
      return result as never;
    },
  };
}

/**
 * A value of which more must hold than its form says. `check` sees it only when its form is right, and tells what is
 * wrong with its place within the value, e.g. `rules[0].path`; '' is the value itself.
 */
function where<T>(inner: Schema<T>, check: (value: T, fault: FaultTeller) => void): Schema<T> {
  return {
    ...inner,
    read: (raw, at, faults) => {
      const before = faults.length;
      const value = inner.read(raw, at, faults);
      if (faults.length > before) return value;
      check(value, (place, description) => {
        const isWithin = place !== '' && !place.startsWith('[');
        faults.push({ field: isWithin ? `${at}.${place}` : `${at}${place}`, description });
      });
      return value;
    },
  };
}

/** Building blocks for a filter's `config`. All faults of a configuration are found in one reading. */
export const schema = {
  text,
  number,
  integer,
  flag,
  oneOf,
  list,
  table,
  withDefault,
  optional,
  shape,
  secret,
  where,
} as const;
