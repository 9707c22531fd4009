/**
 * The most that manifests let a player expect of a track, in bits a second, as their text says it: `bandwidth` of its
 * representation in the MPD, and of a rung also the lowest `BANDWIDTH` of its variants in HLS; 0 where one is silent.
 */
export function declaredRate({ master, mpd }: { master: string; mpd: string }, id: string, playlist?: string): number {
  const [, dash] = mpd.split(`<Representation id="${id}" bandwidth="`);
  const rates = [Number.parseInt(dash ?? '0', 10)];
  if (playlist !== undefined) {
    const lines = master.split('\n');
    const variants = lines.filter((_line, index) => lines[index + 1] === playlist);
    rates.push(...variants.map((line) => Number(line.match(/[:,]BANDWIDTH=(\d+)/)?.[1] ?? 0)));
    if (variants.length === 0) rates.push(0);
  }
  return Math.min(...rates);
}
