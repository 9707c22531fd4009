/** Runs pieces of work of one key one after the other, those of different keys side by side. */
export interface Turns {
  <T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

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
