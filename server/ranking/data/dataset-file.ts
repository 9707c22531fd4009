import { createHash } from 'node:crypto';
import { fileDamaged } from '../errors.ts';
import { createIdIndex } from './id-index.ts';
import { allBelow } from './index-bounds.ts';
import { encodeJson, isStringList } from './json.ts';
import type { RatingsTable } from './ratings-table.ts';
import { readSectionedFile, writeSectionedFile } from './sectioned-file.ts';
import { type Title, titleFault } from './title.ts';

const kind = 'showrunner.ratings';

/** The snapshot of a ratings table: columns as they lie in memory, rows in the order of their source. */
export function encodeRatings(table: RatingsTable): Uint8Array {
  return writeSectionedFile(
    kind,
    { rows: table.value.length, profiles: table.profiles.ids.length, titles: table.titles.ids.length },
    {
      profileIds: { json: table.profiles.ids },
      titleIds: { json: table.titles.ids },
      profile: table.profile,
      title: table.title,
      value: table.value,
      timeMs: table.timeMs,
    },
  );
}

/** Maps a snapshot; RANKING_FILE_DAMAGED when columns or indexes do not fit. `name` is for the message. */
export function decodeRatings(bytes: Uint8Array, name: string): RatingsTable {
  const file = readSectionedFile(bytes, kind, name);
  const profileIds = file.json('profileIds');
  const titleIds = file.json('titleIds');
  if (!isStringList(profileIds) || !isStringList(titleIds)) throw fileDamaged(name, 'ids are not strings');
  const table = {
    profiles: createIdIndex(profileIds),
    titles: createIdIndex(titleIds),
    profile: file.u32('profile'),
    title: file.u32('title'),
    value: file.f32('value'),
    timeMs: file.f64('timeMs'),
  };
  const rows = table.value.length;
  if (table.profile.length !== rows || table.title.length !== rows || table.timeMs.length !== rows) {
    throw fileDamaged(name, 'columns differ in length');
  }
  if (!allBelow(table.profile, profileIds.length) || !allBelow(table.title, titleIds.length)) {
    throw fileDamaged(name, 'a row names an index that has no id');
  }
  return table;
}

/** Titles as a JSON list, in the order given. */
export function encodeTitles(titles: readonly Title[]): Uint8Array {
  return encodeJson(titles.map(({ id, name, genres }) => ({ id, name, genres })));
}

/** Reads a list of titles; RANKING_FILE_DAMAGED when it is not one. */
export function decodeTitles(bytes: Uint8Array, name: string): Title[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw fileDamaged(name, 'is not JSON', cause);
  }
  if (!Array.isArray(parsed)) throw fileDamaged(name, 'is not a list of titles');
  return parsed.map((entry: Partial<Title> | null) => {
    const title = { id: entry?.id ?? '', name: entry?.name ?? '', genres: entry?.genres ?? [] };
    if (typeof title.id !== 'string' || typeof title.name !== 'string' || !isStringList(title.genres)) {
      throw fileDamaged(name, 'an entry is not a title');
    }
    const fault = titleFault(title);
    if (fault !== undefined) throw fileDamaged(name, fault);
    return title;
  });
}

/** Lower-case hex SHA-256 of the parts, each preceded by its length. */
export function contentId(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex').slice(0, 32);
}
