import { createHmac } from 'node:crypto';
import { messageOf } from '../../core/errors.ts';

interface Delivery {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  readonly body: string;
  readonly nowMs: number;
  readonly timeoutMs: number;
}

/** What came of one try. `refused` = the receiver wants no more of it. */
export type DeliveryEnd = { readonly end: 'taken' | 'refused' } | { readonly end: 'failed'; readonly error: string };

/** The value of `x-showrunner-signature`. */
function signatureOf(secret: string, body: string, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000);
  const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return `t=${seconds},v1=${mac}`;
}

/** One try. Never rejects. */
export async function deliver({ id, url, secret, body, nowMs, timeoutMs }: Delivery): Promise<DeliveryEnd> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'showrunner-webhook/1',
        'x-showrunner-delivery': id,
        'x-showrunner-signature': signatureOf(secret, body, nowMs),
      },
      body,
      signal: AbortSignal.timeout(timeoutMs),
    });
    // The answer's body says nothing to us.
    await response.body?.cancel();
    if (response.ok) return { end: 'taken' };
    if (response.status === 410) return { end: 'refused' };
    return { end: 'failed', error: `HTTP ${response.status}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : '';
    return { end: 'failed', error: `${messageOf(error)}${cause}`.slice(0, 300) };
  }
}
