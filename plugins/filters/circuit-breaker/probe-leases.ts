/** Places for probes, each for a limited time. */
export interface ProbeLeases {
  /** A lease of its own number, 1 or more; 0 when all places are taken. */
  take(nowMs: number): number;
  /** True when the lease still ran. The number 0 stands for a call that needed none, and is always true. */
  giveBack(lease: number): boolean;
  /** Ends the leases whose time is up; gives their number. */
  expire(nowMs: number): number;
  /** Ms until a place is free, if no probe ends before; 0 when one is. */
  waitMs(nowMs: number): number;
  clear(): void;
}

/** `most` leases at once, of `leaseMs` each. */
export function createProbeLeases(most: number, leaseMs: number): ProbeLeases {
  // Insertion order is order of expiry.
  const expiries = new Map<number, number>();
  let serial = 0;
  return {
    take: (nowMs) => {
      if (expiries.size >= most) return 0;
      expiries.set(++serial, nowMs + leaseMs);
      return serial;
    },
    giveBack: (lease) => lease === 0 || expiries.delete(lease),
    expire: (nowMs) => {
      let expired = 0;
      for (const [lease, at] of expiries) {
        if (at > nowMs) break;
        expiries.delete(lease);
        expired++;
      }
      return expired;
    },
    waitMs: (nowMs) => {
      if (expiries.size < most) return 0;
      const [first = nowMs] = expiries.values();
      return Math.max(0, first - nowMs);
    },
    clear: () => expiries.clear(),
  };
}
