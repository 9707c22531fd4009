import type { Call } from '../../../server/core/call.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from '../load/loaded-filter.ts';
import type { Chain, Slot, Snapshot } from '../set/snapshot.ts';

/** The hooks that may follow to later versions. */
export type MessageHook = 'requestMessage' | 'responseMessage';

/** Lets the message hooks of one long call follow to the versions that serve now; holds those while the call lasts. */
export class Follower {
  readonly #call: Call;
  readonly #chain: Chain;
  readonly #held = new Set<LoadedFilter>();
  #from: Snapshot | undefined;
  #slots: Pick<Chain, MessageHook>;

  constructor(call: Call, chain: Chain) {
    this.#call = call;
    this.#chain = chain;
    this.#slots = chain;
  }

  /** The slots of the hook with the versions of `current`, which is looked at once. */
  slotsOf(hook: MessageHook, current: Snapshot): readonly Slot[] {
    if (current !== this.#from) {
      const next = current.chainFor(this.#call);
      const now = new Set<LoadedFilter>();
      const follow = (name: MessageHook) => this.#chain[name].map((slot) => this.#follow(slot, next[name], now));
      this.#slots = { requestMessage: follow('requestMessage'), responseMessage: follow('responseMessage') };
      for (const filter of now) holdFilter(filter);
      this.end();
      for (const filter of now) this.#held.add(filter);
      this.#from = current;
    }
    return this.#slots[hook];
  }

  /** Lets go of the versions that were followed to. */
  end(): void {
    for (const filter of this.#held) void releaseFilter(filter);
    this.#held.clear();
  }

  /** The slot with its filter's newer version in it; as it was when there is none that follows. The record stays. */
  #follow(slot: Slot, next: readonly Slot[], held: Set<LoadedFilter>): Slot {
    const { id, type, followsReloads } = slot.filter;
    if (!followsReloads) return slot;
    const newer = next.find(({ filter }) => filter.id === id && filter.type === type && filter.followsReloads)?.filter;
    if (newer === undefined || newer === slot.filter) return slot;
    held.add(newer);
    return { ...slot, filter: newer, shadow: undefined };
  }
}
