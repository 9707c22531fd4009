/**
 * Resolves in the next turn of the event loop. For loops over reads of an embedded store, which are answered without
 * one: sockets, timers and other calls get their turn between two of them.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
