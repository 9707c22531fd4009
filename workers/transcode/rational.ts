/** An exact fraction; `den` is positive. Frame rates and clock ratios are never floats here. */
export type Rational = { readonly num: number; readonly den: number };

function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b);
}

/** The fraction in lowest terms. */
export function rational(num: number, den: number): Rational {
  const by = gcd(num, den) * Math.sign(den) || 1;
  return { num: num / by, den: den / by };
}

/** The nearest number of floating point: for display and estimates, never for positions. */
export function toNumber(value: Rational): number {
  return value.num / value.den;
}

/** `30000/1001`, as DASH, ffmpeg and the API write it. */
export function rationalText(value: Rational): string {
  return `${value.num}/${value.den}`;
}

/** Reads `30000/1001`, `16:9` or `25`; undefined for anything else and for a zero in either place. */
export function parseRational(text: string | undefined): Rational | undefined {
  const match = /^(\d{1,12})(?:[/:](\d{1,12}))?$/.exec(text ?? '');
  if (!match) return undefined;
  const num = Number(match[1]);
  const den = Number(match[2] ?? 1);
  return num > 0 && den > 0 ? rational(num, den) : undefined;
}
