import type { ObjectStore } from '../stores/objects/object-store.ts';
import { encodeSetNotFound } from './errors.ts';

/** What a title version's checks found, as its packager stored it. */
export interface StoredVerification {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  /** Absent in versions made before they were kept. */
  readonly warnings?: readonly string[];
  readonly tracks: readonly {
    readonly id: string;
    readonly samples: number;
    readonly durationTicks: number;
    readonly segments: number;
    readonly windowPeakBps: number;
    readonly declaredPeakBps: number;
  }[];
}

/** A stored verification, with its page. */
export interface FoundVerification {
  readonly verification: StoredVerification;
  /** Key of the page for people; empty for versions made without one. */
  readonly reportKey: string;
}

/** Reads the verification that a version's commit record names. Throws ENCODESET_NOT_FOUND. */
export async function readVerification(
  objects: ObjectStore,
  titleId: string,
  version: string,
  signal: AbortSignal,
): Promise<FoundVerification> {
  const folder = `titles/${titleId}/${version}`;
  const read = async (key: string): Promise<unknown> =>
    JSON.parse(Buffer.from(await objects.read(key, { signal })).toString());
  if ((await objects.stat(`${folder}/encode-set.json`)) === undefined) {
    throw encodeSetNotFound(`titles/${titleId}/encodeSets/${version}`);
  }
  const record = (await read(`${folder}/encode-set.json`)) as { verificationObjectKey: string };
  const reportKey = `${folder}/verification.html`;
  return {
    verification: (await read(record.verificationObjectKey)) as StoredVerification,
    reportKey: (await objects.stat(reportKey)) === undefined ? '' : reportKey,
  };
}
