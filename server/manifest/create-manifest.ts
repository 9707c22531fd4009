import type { Clock } from '../core/clock.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { createApplianceStore } from './appliance-store.ts';
import { createEncodeSetStore, type EncodeSet } from './encode-set-store.ts';
import { createFileLists } from './file-lists.ts';
import { createHoldings } from './holdings.ts';
import type { Manifest, ManifestDomain } from './manifest-domain.ts';
import { currentState, findPlayback } from './playback.ts';
import { createManifestService } from './service.ts';
import { createTitleStore } from './title-store.ts';

/** What the area is built on. */
export interface ManifestOptions {
  readonly records: RecordsStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Appliances at most. Default 2,000. */
  readonly maxAppliances?: number;
  /**
   * Called after each registration of an encode set, repeats included, before it is answered: what it throws makes the
   * caller try again. For telling others, e.g. by an event whose id is the set's name.
   */
  readonly onRegistered?: (encodeSet: EncodeSet) => Promise<void>;
}

/** The manifest area: titles, their files, the appliances that hold them, and where to play from. */
export function createManifest(options: ManifestOptions): Manifest {
  const { records, objects, clock, maxAppliances = 2_000 } = options;
  const titles = createTitleStore({ records, clock });
  const encodeSets = createEncodeSetStore({ records, objects, titles, clock });
  const appliances = createApplianceStore({ records, clock, maxAppliances });
  const holdings = createHoldings(records);
  const files = createFileLists(encodeSets);
  const playbackDeps = { titles, encodeSets, files, appliances, holdings, clock, watchingSinceMs: clock.now() };

  const domain: ManifestDomain = {
    titles,
    encodeSets,
    appliances,
    clock,
    registerEncodeSet: async (titleId, objectKey, job) => {
      const registered = await encodeSets.register(titleId, objectKey, job);
      await options.onRegistered?.(registered.encodeSet);
      return registered;
    },
    reportHoldings: async (applianceId, held, dropped) => {
      await appliances.get(applianceId);
      await Promise.all(held.map(({ titleId, version }) => encodeSets.get(titleId, version)));
      return holdings.report(applianceId, held, dropped);
    },
    stateOf: (watched) => currentState(playbackDeps, watched),
    getPlayback: (request) => findPlayback(playbackDeps, request),
  };
  return { ...domain, service: createManifestService(domain), close: async () => {} };
}
