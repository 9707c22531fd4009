/**
 * Loaded by `node --import` before anything else: without its loader hook OpenTelemetry sees no gRPC call of an
 * ES module and says nothing. Standard OTEL_* settings decide about exporters; with none set nothing leaves the
 * process and the span feed alone hears the spans.
 */
import { register } from 'node:module';
import { OTLPTraceExporter as GrpcTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as ProtoTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace';
import { onFlush } from './flush.ts';
import { createFeedProcessor } from './span-feed.ts';

// Only what is instrumented passes the hook: wrapping our own modules costs start-up time and breaks modules that are
// loaded under a fresh URL, as filters are.
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url, { data: { include: ['@grpc/grpc-js'] } });

const env = process.env;
const hasEndpoint = Boolean(env['OTEL_EXPORTER_OTLP_ENDPOINT']);
const sendsTraces = hasEndpoint || Boolean(env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']);
// The SDK would send to localhost when nothing is set; here silence means off.
if (!hasEndpoint && !env['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT']) env['OTEL_METRICS_EXPORTER'] ??= 'none';
if (!hasEndpoint && !env['OTEL_EXPORTER_OTLP_LOGS_ENDPOINT']) env['OTEL_LOGS_EXPORTER'] ??= 'none';

const spanProcessors: SpanProcessor[] = [createFeedProcessor()];
if (sendsTraces && env['OTEL_TRACES_EXPORTER'] !== 'none') {
  const protocol = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL'];
  const exporter = protocol === 'grpc' ? new GrpcTraceExporter() : new ProtoTraceExporter();
  spanProcessors.push(new BatchSpanProcessor({ exporter }));
}

// Health checks and reflection are noise, and who reads traces must not push out those that he looks for. The
// instrumentation compares bare method names only.
const untracedMethods = ['Check', 'Watch', 'ServerReflectionInfo', 'GetTrace', 'ListTraces'];

const sdk = new NodeSDK({
  serviceName: env['OTEL_SERVICE_NAME'] ?? 'showrunner',
  instrumentations: [new GrpcInstrumentation({ ignoreGrpcMethods: untracedMethods })],
  spanProcessors,
  // Filters by methods by statuses: more than the SDK's 2,000, past which it drops the labels.
  views: [{ instrumentName: 'showrunner.filter.duration', aggregationCardinalityLimit: 8_000 }],
});
sdk.start();
onFlush(shutdownTelemetry);

/** Sends what exporters hold back and ends them. */
export function shutdownTelemetry(): Promise<void> {
  return sdk.shutdown();
}
