import type { Title as TitleMessage } from '../../proto/gen/showrunner/manifest/v1/manifest_pb.ts';
import { invalidField } from '../core/errors.ts';
import { readTitleFields } from './manifest-message.ts';
import { type TitleFields, titleMaskPaths } from './title.ts';

type MaskPath = keyof typeof titleMaskPaths;

const allPaths = Object.keys(titleMaskPaths) as MaskPath[];

/**
 * The fields that an update changes. Without a mask: those that are populated; `*`: all that may be set.
 * INVALID_FIELDS for a path that is none or may not be set.
 */
export function readTitleChange(message: TitleMessage, mask: readonly string[]): Partial<TitleFields> {
  const fields = readTitleFields(message);
  const paths = mask.length === 0 ? allPaths.filter((path) => isPopulated(fields, path)) : expand(mask);
  return Object.fromEntries(paths.map((path) => [titleMaskPaths[path], fields[titleMaskPaths[path]]]));
}

function expand(mask: readonly string[]): readonly MaskPath[] {
  if (mask.length === 1 && mask[0] === '*') return allPaths;
  return mask.map((path) => {
    const known = allPaths.find((name) => name === path);
    if (known === undefined) {
      throw invalidField('update_mask', `"${path.slice(0, 64)}" must be one of ${allPaths.join(', ')}, or * alone`);
    }
    return known;
  });
}

function isPopulated(fields: TitleFields, path: MaskPath): boolean {
  const value = fields[titleMaskPaths[path]];
  return value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0);
}
