/** Resolves when `isTrue` gives true, asked every few ms; rejects naming `what` after `timeoutMs`. */
export async function waitUntil(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The value once it has stayed the same, and over 0, for 100 looks. */
export async function settledValue(read: () => number): Promise<number> {
  let last = read();
  let looks = 0;
  await waitUntil('the value settles', () => {
    looks = read() === last ? looks + 1 : 0;
    last = read();
    return last > 0 && looks > 100;
  });
  return last;
}
