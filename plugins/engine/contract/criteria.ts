import type { Call } from '../../../server/core/call.ts';
import type { Random } from '../../../server/core/random.ts';
import { Status } from '../call/filter-status.ts';
import type { FilterMatch } from '../filter.ts';
import { callPriority } from './call-keys.ts';
import { globMatcher } from './glob.ts';

/** Gives the criterion that fails as a skip status, or `Status.applies`. */
export type Criterion = (call: Call) => Status;

type MethodOf = Pick<Call, 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>;

/** Full names of types, one of which a method must have. */
export interface MessageTypes {
  readonly request: string | undefined;
  readonly response: string | undefined;
}

/** What depends on the method only; judged once per method. `types`: the filter has nothing to do with others. */
export function methodCriterion(match: FilterMatch | undefined, types?: MessageTypes): (call: MethodOf) => Status {
  const services = match?.services && globMatcher(match.services);
  const methods = match?.methods && globMatcher(match.methods);
  return (call) => {
    if (services && !services(call.service)) return Status.skippedService;
    if (methods && !methods(call.method)) return Status.skippedMethod;
    if (match?.kinds && !match.kinds.includes(call.kind)) return Status.skippedKind;
    if (match?.known !== undefined && match.known !== call.known) return Status.skippedKnown;
    if (types !== undefined) {
      const hasRequest = types.request !== undefined && types.request === call.requestType;
      const hasResponse = types.response !== undefined && types.response === call.responseType;
      if (!hasRequest && !hasResponse) return Status.skippedMessageType;
    }
    return Status.applies;
  };
}

function metadataCriterion(key: string, wanted: boolean | string | readonly string[]): Criterion {
  const isBinary = key.endsWith('-bin');
  const texts = typeof wanted === 'string' ? [wanted] : typeof wanted === 'boolean' ? undefined : wanted;
  return (call) => {
    if (texts === undefined) {
      const value = isBinary ? call.requestMetadata.getBinary(key) : call.requestMetadata.get(key);
      return (value !== undefined) === wanted ? Status.applies : Status.skippedMetadata;
    }
    const value = call.requestMetadata.get(key);
    return value !== undefined && texts.includes(value) ? Status.applies : Status.skippedMetadata;
  };
}

/** What depends on the call, cheapest first; undefined when the filter has no such criteria. */
export function callCriterion(match: FilterMatch | undefined, random: Random): Criterion | undefined {
  const criteria: Criterion[] = Object.entries(match?.metadata ?? {}).map(([key, wanted]) =>
    metadataCriterion(key, wanted),
  );
  const { scope, priorities, percent } = match ?? {};
  if (scope !== undefined) {
    criteria.push((call) => (call.principal?.scopes.has(scope) ? Status.applies : Status.skippedScope));
  }
  if (priorities !== undefined) {
    criteria.push((call) => {
      const priority = callPriority.get(call);
      return priority !== undefined && priorities.includes(priority) ? Status.applies : Status.skippedPriority;
    });
  }
  if (percent !== undefined && percent < 100) {
    criteria.push(() => (random.next() * 100 < percent ? Status.applies : Status.skippedPercent));
  }
  const [only] = criteria;
  if (criteria.length < 2) return only;
  return (call) => {
    for (const criterion of criteria) {
      const status = criterion(call);
      if (status !== Status.applies) return status;
    }
    return Status.applies;
  };
}
