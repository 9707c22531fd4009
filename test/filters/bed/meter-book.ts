import { type Attributes, createNoopMeter, metrics } from '@opentelemetry/api';

export interface Measured {
  readonly metric: string;
  readonly value: number;
  readonly attributes: Attributes;
}

export interface MeterBook extends Disposable {
  /** What a metric was given so far. */
  of(metric: string): Measured[];
}

/** Stands in for the metrics SDK and writes down what instruments made from now on are given. */
export function createMeterBook(): MeterBook {
  const measured: Measured[] = [];
  const note =
    (metric: string) =>
    (value: number, attributes: Attributes = {}) =>
      void measured.push({ metric, value, attributes: { ...attributes } });
  const meter = Object.assign(createNoopMeter(), {
    createHistogram: (metric: string) => ({ record: note(metric) }),
    createCounter: (metric: string) => ({ add: note(metric) }),
  });
  metrics.setGlobalMeterProvider({ getMeter: () => meter });
  return {
    of: (name) => measured.filter(({ metric }) => metric === name),
    [Symbol.dispose]: () => metrics.disable(),
  };
}
