import { AppError, type Call, Code, globMatcher, OriginError, type Schema } from '../engine/filter.ts';

/** Codes that say that the origin is unwell, not that the request was bad. */
const faultCodes: ReadonlySet<Code> = new Set<Code>([
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]);

/** True when the failure counts against the origin. */
export function isFault(code: Code): boolean {
  return faultCodes.has(code);
}

/** The code of anything thrown. */
export function codeOf(error: unknown): Code {
  return error instanceof AppError ? error.code : Code.INTERNAL;
}

/** True when it is certain that nothing was done: the call may be made again, whatever it does. */
export function isUnprocessed(error: unknown): boolean {
  return error instanceof OriginError && !error.isProcessed;
}

const codes = new Map<string, Code>(Object.entries(Code));

/** Names of all codes of failures. */
export const failureNames: readonly string[] = [...codes.keys()].filter((name) => name !== 'OK');

/** The code of a name; undefined for what is none. */
export function codeNamed(name: string): Code | undefined {
  return codes.get(name);
}

/** A list of status code names, e.g. `["UNAVAILABLE"]`, read as a set of codes. */
export const codeNames: Schema<ReadonlySet<Code>> = {
  expects: `a list of ${failureNames.join(', ')}`,
  read: (raw, at, faults) => {
    const read = new Set<Code>();
    for (const [index, name] of (Array.isArray(raw) ? raw : [undefined]).entries()) {
      const code = typeof name === 'string' ? codes.get(name) : undefined;
      if (code === undefined || code === Code.OK) {
        faults.push({ field: `${at}[${index}]`, description: 'expected the name of a failure code, e.g. UNAVAILABLE' });
      } else read.add(code);
    }
    return read;
  },
};

/**
 * Tells whether a call may be made twice: its proto says so (`idempotency_level`), or its path is among the globs,
 * which is the only way for methods that this process does not know.
 */
export function idempotencyJudge(paths: readonly string[]): (call: Call) => boolean {
  const isListed = globMatcher(paths);
  return (call) => call.idempotency !== 'unknown' || isListed(call.path);
}
