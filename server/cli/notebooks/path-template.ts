import { randomUUID } from 'node:crypto';
import { isPlainInteger, WholeFloat } from '../../../notebooks-runner/parameters/parameter-value.ts';
import { invalidField } from '../../core/errors.ts';

/** What `pm` stands for in a path, unless a parameter has that name. */
export function pathBuiltins(nowMs: number): Readonly<Record<string, unknown>> {
  return {
    pm: {
      run_uuid: randomUUID(),
      current_datetime_utc: { moment: new Date(nowMs), isUtc: true },
      current_datetime_local: { moment: new Date(nowMs), isUtc: false },
    },
  };
}

const field = /\{\{|\}\}|\{([^{}[\]:]*)((?:\[[^\]{}]*\])*)(?::([^{}]*))?\}|[{}]/g;

/**
 * Fills a path in the way of Python's `format`: `{name}`, `{name[key]}`, `{name:03d}`, `{name:.2f}`, and `%Y%m%d` and
 * the like for moments; `{{` and `}}` are braces. Throws INVALID_FIELDS for a name that no parameter has.
 */
export function fillPath(template: string, values: Readonly<Record<string, unknown>>): string {
  return template.replace(
    field,
    (whole, name: string | undefined, keys: string | undefined, spec: string | undefined) => {
      if (whole === '{{') return '{';
      if (whole === '}}') return '}';
      if (name === undefined) throw invalidField('path', `"${template}" has a brace without its partner`);
      const path = [name, ...[...(keys ?? '').matchAll(/\[([^\]]*)\]/g)].map((match) => match[1] ?? '')];
      let value: unknown = values;
      for (const key of path) {
        if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
          throw invalidField('path', `"${template}" names "${path.join('.')}", which no parameter gives`);
        }
        value = (value as Record<string, unknown>)[key];
      }
      return formatValue(value, spec ?? '', template);
    },
  );
}

function formatValue(given: unknown, spec: string, template: string): string {
  const value = given instanceof WholeFloat ? given.value : given;
  if (isMoment(value)) return spec === '' ? formatMoment('%Y-%m-%d %H:%M:%S.%f', value) : formatMoment(spec, value);
  if (typeof value === 'object' && value !== null) throw invalidField('path', `"${template}" names a list or object`);
  const width = /^(0?)(\d*)(?:d|s)?$/.exec(spec);
  if (width !== null) {
    const text = textOf(given);
    const size = Number(width[2] ?? 0);
    if (width[1] !== '0') return typeof value === 'string' ? text.padEnd(size) : text.padStart(size);
    return text.startsWith('-') ? `-${text.slice(1).padStart(size - 1, '0')}` : text.padStart(size, '0');
  }
  const digits = /^\.(\d{1,2})f$/.exec(spec)?.[1];
  if (digits !== undefined && typeof value === 'number') return value.toFixed(Number(digits));
  throw invalidField('path', `"${template}" has the format "${spec}", which is not known for this value`);
}

/** As Python writes it. */
function textOf(value: unknown): string {
  if (value === true) return 'True';
  if (value instanceof WholeFloat) return `${value.value}.0`;
  if (typeof value === 'number' && !isPlainInteger(value)) return floatText(value);
  return value === false ? 'False' : value === null ? 'None' : String(value);
}

/** Python takes an exponent from 1e16 on and below 1e-4, of two digits at least. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  if (value === 0) return '-0.0';
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  if (Number(exponent) >= -4 && Number(exponent) < 16) return String(value);
  return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

interface Moment {
  readonly moment: Date;
  readonly isUtc: boolean;
}

function isMoment(value: unknown): value is Moment {
  return typeof value === 'object' && value !== null && 'moment' in value && value.moment instanceof Date;
}

function formatMoment(spec: string, { moment, isUtc }: Moment): string {
  // Shifted so that the UTC fields are those of the wanted zone.
  const shown = isUtc ? moment : new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  const pad = (value: number, size = 2) => String(value).padStart(size, '0');
  const year = shown.getUTCFullYear();
  const parts: Readonly<Record<string, string>> = {
    Y: pad(year, 4),
    y: pad(year % 100),
    m: pad(shown.getUTCMonth() + 1),
    d: pad(shown.getUTCDate()),
    H: pad(shown.getUTCHours()),
    M: pad(shown.getUTCMinutes()),
    S: pad(shown.getUTCSeconds()),
    f: `${pad(shown.getUTCMilliseconds(), 3)}000`,
    j: pad(Math.floor((shown.getTime() - Date.UTC(year, 0, 1)) / 86_400_000) + 1, 3),
    s: String(Math.floor(moment.getTime() / 1000)),
    '%': '%',
  };
  return spec.replace(/%(.)/g, (whole, letter: string) => parts[letter] ?? whole);
}
