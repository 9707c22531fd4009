import { type Attributes, type Counter, metrics } from '@opentelemetry/api';

/** Named counts of one area: exported as OpenTelemetry counters `<area>.<name>` and readable in the process. */
export interface Counters<N extends string> {
  /** Adds `amount` (default 1). */
  add(name: N, attributes?: Attributes, amount?: number): void;
  /** All counts since the start, summed over attributes. */
  snapshot(): Readonly<Record<N, number>>;
}

/** `table` maps each name to what it counts. */
export function createCounters<N extends string>(area: string, table: Readonly<Record<N, string>>): Counters<N> {
  const meter = metrics.getMeter('showrunner');
  const names = Object.keys(table) as N[];
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<N, number>;
  const exported = new Map<N, Counter>(
    names.map((name) => [name, meter.createCounter(`${area}.${name}`, { description: table[name] })]),
  );
  return {
    add: (name, attributes, amount = 1) => {
      counts[name] += amount;
      exported.get(name)?.add(amount, attributes);
    },
    snapshot: () => ({ ...counts }),
  };
}
