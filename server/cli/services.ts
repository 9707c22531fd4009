import type { DescService } from '@bufbuild/protobuf';
import { CacheService } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { EventService } from '../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { FilterAdminService } from '../../proto/gen/showrunner/filters/v1/filter_admin_service_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { ManifestService } from '../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { NotebookService } from '../../proto/gen/showrunner/notebooks/v1/notebook_service_pb.ts';
import { NotificationService } from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { RankingService } from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { TraceService } from '../../proto/gen/showrunner/telemetry/v1/trace_service_pb.ts';
import { TranscodeService } from '../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';

/** Services that the command line can call by name. */
export const callableServices: readonly DescService[] = [
  CacheService,
  EventService,
  FilterAdminService,
  JobService,
  ManifestService,
  NotebookService,
  NotificationService,
  RankingService,
  TraceService,
  TranscodeService,
];
