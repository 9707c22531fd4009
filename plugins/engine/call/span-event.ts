import { type Span, trace } from '@opentelemetry/api';

/** The call's span; undefined when none is recording, which is the common case and costs one look-up. */
export function recordingSpan(): Span | undefined {
  const span = trace.getActiveSpan();
  return span?.isRecording() ? span : undefined;
}

/** Lets the session do what comes before the status as soon as `result` is there, and gives `result`. */
export function addAfter<T>(result: T | Promise<T>, session: { beforeStatus(): void }): T | Promise<T> {
  if (!(result instanceof Promise)) {
    session.beforeStatus();
    return result;
  }
  return result.then((value) => {
    session.beforeStatus();
    return value;
  });
}
