import { type Call, globMatcher, type SchemaValue, schema, type TextMatcher } from '../../engine/filter.ts';

const { optional, withDefault } = schema;
const globs = optional(schema.list(schema.text(1, 256), 100));

const fields = schema.shape({
  /** Shown in the lines of its calls. */
  name: schema.text(1, 64),
  /** Globs on the principal's id. */
  principals: globs,
  /** Globs on the path. */
  paths: globs,
  /** Globs on request metadata, by key in lower case. */
  headers: withDefault(schema.table(schema.text(1, 256), 20), new Map<string, string>()),
  /** When the rule ends, e.g. `2026-01-31T12:00:00Z`; a day after it was loaded at the latest. */
  expiresAt: schema.where(schema.text(10, 40), (text, fault) => {
    if (Number.isNaN(Date.parse(text))) fault('', 'expected a time, e.g. 2026-01-31T12:00:00Z');
  }),
  /** Most calls that are looked at. */
  maxCalls: withDefault(schema.integer(1, 10_000), 20),
});

/** Which calls are looked at: all of the given criteria hold. At least one is to be given: not every call is meant. */
export const debugRule = schema.where(fields, ({ principals, paths, headers }, fault) => {
  if (principals === undefined && paths === undefined && headers.size === 0) {
    fault('', 'expected principals, paths or headers');
  }
});

/** A rule as it is configured. */
export type DebugRule = SchemaValue<typeof debugRule>;

/** A rule in use. */
export interface LiveRule {
  readonly name: string;
  /** Calls that may still be looked at. */
  left: number;
}

const longestMs = 86_400_000;

function matcherOf(rule: DebugRule): (call: Call) => boolean {
  const principals = rule.principals && globMatcher(rule.principals);
  const paths = rule.paths && globMatcher(rule.paths);
  const headers = [...rule.headers].map(([key, glob]): [string, TextMatcher] => [key, globMatcher([glob])]);
  return (call) => {
    if (paths && !paths(call.path)) return false;
    if (principals && !(call.principal !== undefined && principals(call.principal.id))) return false;
    return headers.every(([key, matches]) => {
      const value = call.requestMetadata.get(key);
      return value !== undefined && matches(value);
    });
  };
}

/** Gives the first rule that a call falls under and that is neither over nor used up. */
export function createDebugRules(rules: readonly DebugRule[], nowMs: number) {
  const live = rules.map((rule) => {
    const state: LiveRule = { name: rule.name, left: rule.maxCalls };
    return { state, endsAt: Math.min(Date.parse(rule.expiresAt), nowMs + longestMs), matches: matcherOf(rule) };
  });
  return {
    find: (call: Call, now: number): LiveRule | undefined =>
      live.find(({ state, endsAt, matches }) => state.left > 0 && now < endsAt && matches(call))?.state,
  };
}
