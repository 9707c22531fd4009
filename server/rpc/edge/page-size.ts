import { invalidField } from '../../core/errors.ts';

/** Items on a page: 0 gives the default, more than `most` is capped, a negative size is INVALID_ARGUMENT. */
export function readPageSize(
  size: number,
  { fallback, most }: { fallback: number; most: number },
  field = 'page_size',
): number {
  if (size < 0) throw invalidField(field, `must not be negative, got ${size}`);
  return size === 0 ? fallback : Math.min(size, most);
}
