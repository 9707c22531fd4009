import {
  type Call,
  type CallPriority,
  callPriorities,
  globMatcher,
  rememberPaths,
  type TextMatcher,
} from '../../engine/filter.ts';
import type { ShedConfig } from './shed-config.ts';

const header = 'x-priority';

function rankOf(priority: CallPriority): number {
  return callPriorities.indexOf(priority);
}

/**
 * Grants priorities: the first rule whose glob matches the path, else the default. `x-priority` of a trusted caller
 * wins; anybody else can only ask for less than the rules give. An unknown value counts as absent.
 */
export function createPriorities(config: ShedConfig): (call: Call) => CallPriority {
  const rules: readonly { readonly matches: TextMatcher; readonly priority: CallPriority }[] = config.rules.map(
    ({ path, priority }) => ({ matches: globMatcher([path]), priority }),
  );
  const { trustHeader, trustScope, defaultPriority } = config;
  const ruleOf = rememberPaths((path) => rules.find(({ matches }) => matches(path))?.priority ?? defaultPriority);
  return (call) => {
    const ruled = ruleOf(call.path);
    const text = call.requestMetadata.get(header);
    const asked = text === undefined ? undefined : callPriorities.find((name) => name === text);
    if (asked === undefined) return ruled;
    const isTrusted = trustHeader === 'all' || (trustHeader === 'scope' && call.principal?.scopes.has(trustScope));
    return isTrusted || rankOf(asked) > rankOf(ruled) ? asked : ruled;
  };
}
