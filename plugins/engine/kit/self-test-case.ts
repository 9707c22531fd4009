import type { CallKind, Principal } from '../../../server/core/call.ts';
import type { Code } from '../../../server/core/codes.ts';

/** The call of a self-test; what is left out is a unary call of a known method by nobody. */
export interface SelfTestCall {
  /** Full path; default `/selftest.Service/Method`. */
  readonly path?: string;
  readonly kind?: CallKind;
  readonly known?: boolean;
  readonly metadata?: Readonly<Record<string, string | Uint8Array>>;
  readonly principal?: {
    readonly id: string;
    readonly scopes?: readonly string[];
    readonly method?: Principal['method'];
  };
  /** Default `127.0.0.1:1`. */
  readonly peer?: string;
  /** Time that the caller gives, in ms; default none. */
  readonly deadlineMs?: number;
}

/** What must come out of a self-test. */
export type SelfTestExpectation =
  | 'passes'
  /** A criterion leaves the call out. */
  | 'skips'
  | 'answers'
  | { readonly answers: readonly unknown[] }
  /** Reason of the AppError that the caller gets. */
  | { readonly refuses: string };

/**
 * One case that an author says of a filter: this call comes out like this. Each runs on an instance of its own that is
 * opened for it and closed again, before the version takes any call.
 */
export interface SelfTest {
  readonly name: string;
  /** Configuration for the case; default the one that the version is loaded with. */
  readonly config?: unknown;
  readonly call?: SelfTestCall;
  /** Request messages; default one empty message. */
  readonly requests?: readonly unknown[];
  /** Error of the endpoint, for outbound and error filters; default it answers with the requests. */
  readonly endpointError?: { readonly code: Code; readonly reason: string };
  readonly expect: SelfTestExpectation;
  /** Response headers and trailers that must be there. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
  /** Id of the principal that the call must have at its end. */
  readonly principal?: string;
}
