import { type Call, callKey } from '../../engine/filter.ts';

/** What callers may show to the origin itself, or what stands for them behind a listener or proxy. */
const shownKeys = ['authorization', 'x-api-key', 'cookie', 'x-forwarded-for'] as const;

/**
 * Who may be given the responses to this call again. A caller who was authenticated here is its principal; of any other
 * the host says too little (browsers of gRPC-web all have the listener's, users of a proxy the proxy's): what it shows
 * counts, too.
 */
export function callerOf(call: Call): string {
  const key = callKey(call, 'principal');
  const { principal, requestMetadata: metadata } = call;
  if (principal !== undefined && principal.method !== 'none') return key;
  return JSON.stringify([key, ...shownKeys.map((name) => metadata.getAll(name).map(String))]);
}
