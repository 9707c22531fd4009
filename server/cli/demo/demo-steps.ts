import { trace } from '@opentelemetry/api';
import type { ProgressOutput } from '../terminal/progress-bar.ts';

/** One line of the closing table. */
export interface StepResult {
  readonly name: string;
  readonly outcome: string;
  readonly durationMs: number;
}

/** The steps of the demo, one after the other. */
export interface DemoSteps {
  /** Runs a step under a span of its own and notes its outcome and time; a failure is noted and thrown on. */
  run<T>(name: string, work: () => Promise<{ value: T; outcome: string }>): Promise<T>;
  readonly results: readonly StepResult[];
}

/** Tells each step to `output` as it begins and as it ends. */
export function createDemoSteps(output: ProgressOutput): DemoSteps {
  const results: StepResult[] = [];
  const tracer = trace.getTracer('showrunner.demo');
  return {
    results,
    run: (name, work) =>
      tracer.startActiveSpan(name, async (span) => {
        output.write(`${name}\n`);
        const startedAt = performance.now();
        const note = (outcome: string) => results.push({ name, outcome, durationMs: performance.now() - startedAt });
        try {
          const { value, outcome } = await work();
          note(outcome);
          output.write(`  ${outcome}\n`);
          return value;
        } catch (error) {
          note('FAILED');
          span.recordException(error instanceof Error ? error : String(error));
          throw error;
        } finally {
          span.end();
        }
      }),
  };
}
