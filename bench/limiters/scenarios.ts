import type { Scenario } from './simulate-limiter.ts';

const small = { workers: 10, serviceMs: 40, deadlineMs: 300 } as const;
const large = { workers: 100, serviceMs: 400, deadlineMs: 2000 } as const;

/** Calls per second that the server of a scenario can answer. */
export function capacityOf({ workers, serviceMs }: Pick<Scenario, 'workers' | 'serviceMs'>): number {
  return (workers / serviceMs) * 1000;
}

/** Loads as multiples of the capacity, by second. */
const loads: Readonly<
  Record<'steady' | 'step' | 'sawtooth' | 'recover' | 'large', readonly [number, (s: number) => number]>
> = {
  /** Half load, then ten times the capacity for good. */
  steady: [600, (s) => (s < 30 ? 0.5 : 10)],
  /** Twice the capacity for 140 s. */
  step: [300, (s) => (s >= 60 && s < 200 ? 2 : 0.6)],
  /** Half to two and a half times the capacity every minute. */
  sawtooth: [300, (s) => 0.5 + (2 * (s % 60)) / 60],
  /** Ten times the capacity from the start, a pause, then slightly too much. */
  recover: [300, (s) => (s < 100 ? 10 : s < 110 ? 0.3 : 1.2)],
  /** A server of 100 slow workers, three times its capacity from the start. */
  large: [300, () => 3],
};

export type ScenarioName = keyof typeof loads;

function scenarioOf(name: ScenarioName): Scenario {
  const server = name === 'large' ? large : small;
  const [seconds, load] = loads[name];
  return { ...server, name, seconds, callsPerSecond: (second) => capacityOf(server) * load(second) };
}

/** The scenarios of the limiter bench by name. */
export const scenarios: Readonly<Record<ScenarioName, Scenario>> = {
  steady: scenarioOf('steady'),
  step: scenarioOf('step'),
  sawtooth: scenarioOf('sawtooth'),
  recover: scenarioOf('recover'),
  large: scenarioOf('large'),
};
