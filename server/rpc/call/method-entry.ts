import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Level } from '@bufbuild/protobuf/wkt';
import type { CallKind, Idempotency } from '../../core/call.ts';
import type { AnyHandler, ServiceRegistration } from '../handler.ts';
import type { CallTarget } from './server-call.ts';

/** A method ready to be called. */
export interface MethodEntry extends CallTarget {
  readonly desc: DescMethod;
  readonly handler: AnyHandler;
}

const kinds: Record<DescMethod['methodKind'], CallKind> = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
};

const idempotencies: Record<Level, Idempotency> = {
  [Level.IDEMPOTENCY_UNKNOWN]: 'unknown',
  [Level.NO_SIDE_EFFECTS]: 'no_side_effects',
  [Level.IDEMPOTENT]: 'idempotent',
};

/** All methods of a service. */
export function entriesOf({ desc, handlers }: ServiceRegistration): MethodEntry[] {
  return desc.methods.flatMap((method) => {
    const handler = handlers.get(method.localName);
    return handler === undefined ? [] : [entryOf(method, handler)];
  });
}

function entryOf(desc: DescMethod, handler: AnyHandler): MethodEntry {
  const service = desc.parent.typeName;
  return {
    path: `/${service}/${desc.name}`,
    service,
    method: desc.name,
    kind: kinds[desc.methodKind],
    known: true,
    requestType: desc.input.typeName,
    responseType: desc.output.typeName,
    idempotency: idempotencies[desc.idempotency],
    desc,
    handler,
  };
}

/** The target of a call whose path names no method. Its kind is the most general one: nothing is known of it. */
export function unknownTarget(path: string): CallTarget {
  const [, service = '', method = ''] = /^\/(.*)\/([^/]*)$/.exec(path) ?? [];
  return { path, service, method, kind: 'bidi_stream', known: false, idempotency: 'unknown' };
}
