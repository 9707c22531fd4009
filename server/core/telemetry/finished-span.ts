/** One finished span as plain data: what the recent-traces store keeps and worker processes send to the server. */
export interface FinishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: SpanKindName;
  /** Process that made it, e.g. `server` or `worker-1`. */
  readonly process: string;
  /** Unix ms with fraction. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly events: readonly { readonly name: string; readonly text: string }[];
  /** Error text; empty when the span ended well. */
  readonly error: string;
}

/** Kind of a span, in OpenTelemetry's words. */
export type SpanKindName = 'internal' | 'server' | 'client' | 'producer' | 'consumer';
