import {
  type Answer,
  AppError,
  type Call,
  callKey,
  globMatcher,
  type Random,
  type TextMatcher,
} from '../../engine/filter.ts';
import { codeNamed } from '../../origins/call-codes.ts';
import { bytesOf } from '../../origins/config-parts.ts';
import type { AnswerConfig, RoutingConfig, RuleConfig } from './routing-config.ts';

/** Where a rule sends a call: to a cluster, to the endpoint in this process (undefined), or to a fixed answer. */
export interface Route {
  readonly rule: string;
  readonly cluster: string | undefined;
  /** Gives the fixed answer, or throws the fixed failure. */
  readonly answer: ((call: Call) => Answer) | undefined;
}

type Matcher = (call: Call) => boolean;

/** Gives the route of the first rule that matches; undefined when none does. */
export type RuleTable = (call: Call) => Route | undefined;

/** Makes the table of the configured rules. */
export function compileRules({ rules }: RoutingConfig, random: Random): RuleTable {
  const compiled = rules.map((rule) => {
    const answer = rule.answer && fixedAnswer(rule.name, rule.answer);
    const route: Route = { rule: rule.name, cluster: rule.cluster, answer };
    return { matchers: matchersOf(rule, random), route };
  });
  return (call) => compiled.find(({ matchers }) => matchers.every((matches) => matches(call)))?.route;
}

/** The cheapest first, the draw last: it is made only for calls that match all else. */
function matchersOf(rule: RuleConfig, random: Random): Matcher[] {
  const matchers: Matcher[] = [];
  if (rule.paths !== undefined) {
    const matches = globMatcher(rule.paths);
    matchers.push((call) => matches(call.path));
  }
  for (const [key, values] of rule.metadata ?? []) matchers.push(metadataMatcher(key, globMatcher(values)));
  if (rule.principals !== undefined) {
    const matches = globMatcher(rule.principals);
    matchers.push(({ principal }) => principal !== undefined && matches(principal.id));
  }
  if (rule.percent < 100) {
    const draw = rule.sticky ? (call: Call) => shareOf(`${rule.name}\0${callKey(call, 'principal')}`) : random.next;
    matchers.push((call) => draw(call) * 100 < rule.percent);
  }
  return matchers;
}

function metadataMatcher(key: string, matches: TextMatcher): Matcher {
  return (call) => {
    const value = call.requestMetadata.get(key);
    return value !== undefined && matches(value);
  };
}

/** A number in [0, 1) that is always the same for the text (FNV-1a, then mixed, since short texts differ little). */
function shareOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

function fixedAnswer(rule: string, { code, text, messages, headers }: AnswerConfig): (call: Call) => Answer {
  const failure = code === undefined ? undefined : codeNamed(code);
  const bytes = bytesOf(messages);
  return (call) => {
    for (const [key, value] of headers ?? []) call.responseHeaders.set(key, value);
    if (failure === undefined) return { messages: bytes };
    throw new AppError({ code: failure, reason: 'ROUTE_ANSWER', message: text, metadata: { rule } });
  };
}
