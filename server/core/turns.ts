/** Runs pieces of work of one key one after the other, those of different keys side by side. */
export interface Turns {
  /** Gives what the work gives; a piece that fails does not keep the next one of its key from running. */
  <T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

/** Without a bound: whoever lets others in bounds what they may start. */
export function createTurns(): Turns {
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(key) ?? Promise.resolve()).then(work, work);
    turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (turns.get(key) === turn) turns.delete(key);
    }
  };
  return Object.assign(inTurn, {
    idle: async () => {
      while (turns.size > 0) await Promise.allSettled(turns.values());
    },
  });
}
