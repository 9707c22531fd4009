/** True when every number is below `end`: checked once, before a kernel or an array trusts the indexes. */
export function allBelow(numbers: Uint32Array, end: number): boolean {
  for (let i = 0; i < numbers.length; i++) if ((numbers[i] ?? end) >= end) return false;
  return true;
}
