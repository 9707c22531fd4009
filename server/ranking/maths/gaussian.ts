import type { Random } from '../../core/random.ts';

/** Fills the array with normal draws of the given standard deviation (Box-Muller), reproducible from the source. */
export function fillGaussian(target: Float32Array, deviation: number, random: Random): void {
  for (let at = 0; at < target.length; at += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.next()));
    const angle = 2 * Math.PI * random.next();
    target[at] = radius * Math.cos(angle);
    // An odd length drops the last sine: a write past the end of a typed array has no effect.
    target[at + 1] = radius * Math.sin(angle);
  }
}
