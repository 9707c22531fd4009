import { findResourceIds, readResourceName, slugId } from '../rpc/edge/resource-name.ts';
import type { EncodeSetId } from './holdings.ts';

/** The bare id of `titles/{title}`. INVALID_FIELDS. */
export function readTitleName(field: string, name: string): string {
  return readResourceName(field, name, ['titles'], slugId)[0];
}

/** The ids of `titles/{title}/encodeSets/{version}`. INVALID_FIELDS. */
export function readEncodeSetName(field: string, name: string): EncodeSetId {
  const [titleId, version] = readResourceName(field, name, ['titles', 'encodeSets'], slugId);
  return { titleId, version };
}

/** As readEncodeSetName, but a title alone is allowed and gives an empty version. INVALID_FIELDS. */
export function readEncodeSetOrTitle(field: string, name: string): EncodeSetId {
  const ids = findResourceIds(name, ['titles', 'encodeSets'], slugId);
  if (ids !== undefined) return { titleId: ids[0], version: ids[1] };
  return { titleId: readTitleName(field, name), version: '' };
}
