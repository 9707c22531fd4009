import type { JsonObject } from '@bufbuild/protobuf';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { nameIn, readLabels, readObject, type Turn } from './turn.ts';

/** Replaces what is there, or creates it. */
export async function putResource<A, B>(update: () => Promise<A>, create: () => Promise<B>): Promise<A | B> {
  try {
    return await update();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== Code.NOT_FOUND) throw error;
    return await create();
  }
}

/** All entries of all pages. */
export async function scanPages<P extends { readonly nextPageToken: string }, T>(
  read: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<P>,
  entriesOf: (page: P) => readonly T[],
): Promise<T[]> {
  const all: T[] = [];
  for (let pageToken = ''; ; ) {
    const page = await read({ pageSize: 500, pageToken });
    all.push(...entriesOf(page));
    pageToken = page.nextPageToken;
    if (pageToken === '') return all;
  }
}

/** What a run of a template or workflow is asked with. */
export function runRequest(
  collection: string,
  { args, values }: Turn,
): { name: string; params: JsonObject; requestId: string; labels: Record<string, string> } {
  return {
    name: nameIn(collection, args[0]),
    params: readObject(args[1]),
    requestId: values['request-id'],
    labels: readLabels(values.label),
  };
}
