import { hash } from 'node:crypto';

/**
 * Weighted rendezvous score of a session on an appliance, in (0, 1); the highest wins. Among appliances of weights w
 * each wins w / sum(w) of all sessions, and one that leaves moves only the sessions that it had won.
 * Scores of different weights compare as u^(1/w). Pure: the same on every machine.
 */
export function rendezvousScore(session: string, applianceId: string, weight: number): number {
  const digest = hash('sha256', `${session}\0${applianceId}`, 'buffer');
  // 52 bits, and never 0 or 1.
  const uniform = (Number(digest.readBigUInt64BE() >> 12n) + 0.5) / 2 ** 52;
  return uniform ** (1 / weight);
}
