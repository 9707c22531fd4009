/** How far the local time of a zone is ahead of UTC at a moment, in ms. */
export type OffsetAt = (atMs: number) => number;

const formats = new Map<string, Intl.DateTimeFormat>();

/** The offsets of an IANA zone. Throws RangeError for a zone that is unknown. */
export function offsetOf(timeZone: string): OffsetAt {
  if (timeZone === 'UTC') return () => 0;
  const format = formats.get(timeZone) ?? createFormat(timeZone);
  formats.set(timeZone, format);
  return (atMs) => {
    const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000;
  };
}

function createFormat(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}

/** The first moment, in whole seconds, of another offset than that of `fromMs`; `toMs` must have another one. */
export function findTransition(offsetAt: OffsetAt, fromMs: number, toMs: number): number {
  const offset = offsetAt(fromMs);
  let [low, high] = [Math.floor(fromMs / 1000), Math.ceil(toMs / 1000)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1000) === offset) low = middle;
    else high = middle;
  }
  return high * 1000;
}
