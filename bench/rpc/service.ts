import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { CacheService } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { ManifestService } from '../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';

/** The two methods that are measured, taken from the contract so that messages are of a real shape. */
export const unary = { service: CacheService as DescService, method: CacheService.method.get as DescMethod };
export const stream = {
  service: ManifestService as DescService,
  method: ManifestService.method.streamFiles as DescMethod,
};

const value = new Uint8Array(100).fill(7);

/** Answer of the unary method: one cached item of 100 bytes. */
export const unaryAnswer = { item: { key: 'profile:42', value, flags: 0, cas: 7n } };

/** One message of the stream: a video file of a title. */
export const streamAnswer = {
  file: {
    name: 'titles/big-buck-bunny/encodeSets/v1/files/h264-720p',
    kind: 1,
    profile: 'h264-main-720p',
    codec: 'avc1.4d401f',
    bitrateBps: 2_500_000n,
    width: 1280,
    height: 720,
  },
};

/** Messages of one stream call. */
export const streamLength = 500;

/** Sent with every call, to every variant. */
export const benchKey = 'bench-key-of-32-characters-12345';

/**
 * `chain`: the filter engine without a filter, and beside it in the same process a server without the engine;
 * `filters10`: ten shipped filters that all run; `routed`: the routing filter with a rule that does not match; the
 * proxies call another server.
 */
export type ServerVariant = 'bare' | 'ours' | 'chain' | 'filters10' | 'routed' | 'proxy' | 'bare-proxy';
