import { type Span, SpanKind, trace } from '@opentelemetry/api';
import { contextOfTraceparent } from '../core/telemetry/trace-parent.ts';
import type { DeviceHello, StoredNotification } from './notification.ts';

/** The span `notification.push` of one device, in the trace of whoever published; the caller ends it. */
export function startPushSpan(notification: StoredNotification, { device, profile }: DeviceHello): Span {
  const attributes = {
    'notification.id': notification.notificationId,
    'notification.kind': notification.kind,
    'notification.offset': Number(notification.offset),
    'device.id': device,
    'profile.name': profile,
  };
  return trace
    .getTracer('showrunner')
    .startSpan(
      'notification.push',
      { kind: SpanKind.PRODUCER, attributes },
      contextOfTraceparent(notification.traceparent),
    );
}
