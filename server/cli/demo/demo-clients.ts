import { CacheService } from '../../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { EventService } from '../../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { ManifestService } from '../../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { NotificationService } from '../../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { RankingService } from '../../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { TraceService } from '../../../proto/gen/showrunner/telemetry/v1/trace_service_pb.ts';
import { TranscodeService } from '../../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import { createRpcClient } from '../../rpc/client.ts';

/** Clients of every service, and their end. */
export type DemoClients = ReturnType<typeof createDemoClients>;

/**
 * A client of every service, over the real socket and with the API key that the filters ask for. `deadlineMs`: how long a
 * call may take that says nothing of it; absent = no limit.
 */
export function createDemoClients(address: string, apiKey: string, deadlineMs?: number) {
  const options = { address, deadlineMs, metadata: { 'x-api-key': apiKey } };
  const clients = {
    cache: createRpcClient(CacheService, options),
    events: createRpcClient(EventService, options),
    jobs: createRpcClient(JobService, options),
    manifest: createRpcClient(ManifestService, options),
    notifications: createRpcClient(NotificationService, options),
    ranking: createRpcClient(RankingService, options),
    traces: createRpcClient(TraceService, options),
    transcode: createRpcClient(TranscodeService, options),
  };
  const close = () => {
    for (const client of Object.values(clients)) client.close();
  };
  return { ...clients, close };
}
