import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CheckCallRequestSchema,
  type CheckCallResponse,
  CheckCallResponseSchema,
  ExternalFilterService,
} from '../../../proto/gen/showrunner/filters/v1/external_filter_service_pb.ts';
import { type Call, type Clock, deadlineOf, type Origins } from '../../engine/filter.ts';
import type { ExternalConfig } from './external-config.ts';

const path = `/${ExternalFilterService.typeName}/${ExternalFilterService.method.checkCall.name}`;

interface Judge {
  readonly origins: Origins;
  readonly target: string;
  readonly clock: Clock;
  readonly config: ExternalConfig;
}

function requestOf(call: Call, { clock, config }: Judge): Uint8Array {
  const metadata: Record<string, string> = {};
  for (const key of config.shownMetadata) {
    const value = call.requestMetadata.get(key);
    if (value !== undefined) metadata[key] = value;
  }
  const leftMs = deadlineOf(call) - clock.now();
  const request = create(CheckCallRequestSchema, {
    ...{ callId: call.id, path: call.path, peer: call.peer, principal: call.principal?.id ?? '', metadata },
    scopes: [...(call.principal?.scopes ?? [])],
    isObserved: config.mode === 'observe',
    ...(Number.isFinite(leftMs) ? { timeLeft: durationOf(Math.max(0, leftMs)) } : {}),
  });
  return toBinary(CheckCallRequestSchema, request);
}

function durationOf(ms: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.floor((ms % 1000) * 1e6) };
}

/** Asks for a verdict. Throws an OriginError when there is none in time, and what the decoder throws. */
export async function askJudge(call: Call, judge: Judge, signal: AbortSignal | undefined): Promise<CheckCallResponse> {
  const { origins, target, clock, config } = judge;
  const bytes = requestOf(call, judge);
  async function* requests() {
    yield bytes;
  }
  const deadline = Math.min(deadlineOf(call), clock.now() + config.timeoutMs);
  const reply = origins.call(target, path, requests(), { deadline, signal });
  for await (const response of reply) return fromBinary(CheckCallResponseSchema, response);
  throw new Error('the judge gave no verdict');
}
