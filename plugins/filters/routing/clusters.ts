import type { Clock, Logger, Origins, Random } from '../../engine/filter.ts';
import { type Cluster, createCluster } from '../../origins/cluster.ts';
import { createDnsDiscovery, createFileDiscovery, createStaticDiscovery } from '../../origins/discovery.ts';
import type { Discovery } from '../../origins/endpoint.ts';
import { type ClusterEntry, outlierDefaults, type RoutingConfig } from './routing-config.ts';

interface ClusterSetDeps {
  readonly origins: Origins;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
}

/** Opens all clusters, or none: rejects with what is wrong with the first bad one. */
export async function openClusters(
  { clusters, zone }: RoutingConfig,
  deps: ClusterSetDeps,
): Promise<ReadonlyMap<string, Cluster>> {
  const opened = new Map<string, Cluster>();
  try {
    for (const [name, entry] of clusters ?? []) {
      const discovery = discoveryOf(entry, deps);
      const cluster = createCluster(
        {
          ...{ name, zone, spillAt: entry.spillAt, maxRequests: entry.maxRequests, timeoutMs: entry.timeoutMs },
          outlier: entry.outlier ?? outlierDefaults,
          metadata: Object.fromEntries(entry.metadata ?? []),
          dropMetadata: entry.dropMetadata,
        },
        { ...deps, discovery },
      );
      opened.set(name, cluster);
      await cluster.start();
    }
    return opened;
  } catch (error) {
    for (const cluster of opened.values()) cluster.close();
    throw error;
  }
}

function discoveryOf({ endpoints, file, dns }: ClusterEntry, deps: ClusterSetDeps): Discovery {
  if (file !== undefined) return createFileDiscovery(file, deps);
  if (dns !== undefined) return createDnsDiscovery({ ...dns, ...deps });
  return createStaticDiscovery(endpoints ?? []);
}
