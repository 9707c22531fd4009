import type { Appliance } from '../manifest/appliance.ts';

/** This server's HTTP origin as the manifest knows it: holds everything, stands nowhere near, used last. */
export function describeOrigin(baseUrl: string): Appliance {
  return {
    id: 'origin',
    baseUrl,
    site: '',
    region: '',
    asn: 0,
    prefixes: [],
    latitude: 0,
    longitude: 0,
    capacityBytes: 0,
    throughputBps: 0,
    origin: true,
    draining: false,
  };
}
