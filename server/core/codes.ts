/**
 * gRPC status codes by name, so that code outside server/rpc can name a code without the transport library.
 * Source: https://grpc.io/docs/guides/status-codes/
 */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** One numeric gRPC status code, 0-16. */
export type Code = (typeof Code)[keyof typeof Code];

const names = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** The UPPER_SNAKE name of a status code; an unknown number gives `CODE_<n>`. */
export function codeName(code: number): string {
  return names.get(code) ?? `CODE_${code}`;
}

const permanentCodes: ReadonlySet<Code> = new Set<Code>([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.PERMISSION_DENIED,
  Code.UNAUTHENTICATED,
  Code.FAILED_PRECONDITION,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
  Code.DATA_LOSS,
]);

/** True for a failure that the same input meets again; one with another code may pass at the next try. */
export function isPermanent(code: Code): boolean {
  return permanentCodes.has(code);
}
