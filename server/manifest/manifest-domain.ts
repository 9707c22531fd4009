import type { Clock } from '../core/clock.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import type { ApplianceState } from './appliance-health.ts';
import type { ApplianceStore, WatchedAppliance } from './appliance-store.ts';
import type { EncodeSetStore } from './encode-set-store.ts';
import type { EncodeSetId, Holdings } from './holdings.ts';
import type { Playback, PlaybackRequest } from './playback.ts';
import type { TitleStore } from './title-store.ts';

/** What the area does; the service is its edge. */
export interface ManifestDomain {
  readonly titles: Pick<TitleStore, 'create' | 'get' | 'list' | 'update'>;
  readonly encodeSets: Pick<EncodeSetStore, 'get' | 'list' | 'files'>;
  readonly appliances: Pick<ApplianceStore, 'put' | 'get' | 'list' | 'heartbeat'>;
  readonly clock: Clock;
  /** Makes the set of a commit record current; `titleId` is bare. See EncodeSetStore.register. */
  registerEncodeSet(titleId: string, objectKey: string, job: string): ReturnType<EncodeSetStore['register']>;
  /** APPLIANCE_NOT_FOUND, ENCODESET_NOT_FOUND for sets that it claims to hold. Gives how many it holds then. */
  reportHoldings(
    applianceId: string,
    held: readonly EncodeSetId[],
    dropped: readonly EncodeSetId[],
  ): ReturnType<Holdings['report']>;
  /** The state of an appliance now. */
  stateOf(watched: WatchedAppliance): ApplianceState;
  /** Where to play from; see findPlayback. */
  getPlayback(request: PlaybackRequest): Promise<Playback>;
}

/** The area as the composition root has it. */
export interface Manifest extends ManifestDomain {
  readonly service: ServiceRegistration;
  /** Nothing to release: all state is in the stores. */
  close(): Promise<void>;
}
