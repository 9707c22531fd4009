import { canonicalJson } from '../../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { sourceMissing } from '../errors.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { EncodeSetObject } from '../publish/encode-set.ts';
import type { VersionFolder } from '../publish/publish-track.ts';
import { findJson } from '../stored-json.ts';
import type { LadderReport } from './ladder-report.ts';
import { ladderSvg } from './ladder-svg.ts';

/**
 * Puts a title's `ladder.json` beside its encodes, and `ladder.svg` where trials chose the rungs; gives the former.
 * NOT_FOUND OBJECT_NOT_FOUND when the plan's document is gone.
 */
export async function publishLadder(
  objects: ObjectStore,
  plan: TranscodePlan,
  out: VersionFolder,
  signal: AbortSignal,
): Promise<EncodeSetObject> {
  const report = await findJson<LadderReport>(objects, plan.ladderKey, signal);
  if (!report) throw sourceMissing(plan.ladderKey);
  const object = await out.put('ladder.json', Buffer.from(canonicalJson(report)), 'application/json');
  if (report.mode === 'per-title') await out.put('ladder.svg', Buffer.from(ladderSvg(report)), 'image/svg+xml');
  return object;
}
