import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { readDuration, readTimestamp, toDuration, toTimestamp } from '../../server/rpc/edge/wkt-time.ts';

describe('times of the contract', () => {
  it('are made of any number of milliseconds, to the nanosecond', () => {
    for (const [ms, seconds, nanos] of [
      [0, 0n, 0],
      [-0.000_000_1, 0n, 0],
      [4_404.4, 4n, 404_400_000],
      [1000 / 3, 0n, 333_333_333],
      [999.999_999_9, 1n, 0],
      [-1_500.25, -1n, -500_250_000],
      [-999.999_999_9, -1n, 0],
      [315_576_000_000_000, 315_576_000_000n, 0],
      [-1e18, -315_576_000_000n, 0],
    ] as const) {
      const sent = fromBinary(DurationSchema, toBinary(DurationSchema, toDuration(ms)));
      assert.deepEqual([sent.seconds, sent.nanos], [seconds, nanos], `${ms} ms`);
    }
    for (const [ms, seconds, nanos] of [
      [1_795_600_762_568.9, 1_795_600_762n, 568_000_000],
      [-0.5, -1n, 999_000_000],
      [-62_135_596_800_000, -62_135_596_800n, 0],
      [-62_135_596_800_001, -62_135_596_800n, 0],
      [1e18, 253_402_300_799n, 999_000_000],
    ] as const) {
      const sent = fromBinary(TimestampSchema, toBinary(TimestampSchema, toTimestamp(ms)));
      assert.deepEqual([sent.seconds, sent.nanos], [seconds, nanos], `${ms} ms`);
    }
  });

  it('are read in whole milliseconds: a duration never shorter than it was', () => {
    const duration = (seconds: bigint, nanos: number) => readDuration('f', create(DurationSchema, { seconds, nanos }));
    assert.deepEqual(
      [duration(0n, 0), duration(0n, 1), duration(60n, 1), duration(1n, 500_000_000), duration(0n, -1)],
      [0, 1, 60_001, 1_500, -1],
    );
    assert.equal(duration(315_576_000_000n, 0), 315_576_000_000_000);
    assert.throws(() => duration(315_576_000_000n, 1), /at most 10,000 years/);
    assert.throws(() => duration(-(2n ** 63n), 0), /at most 10,000 years/);
    assert.equal(readTimestamp('f', create(TimestampSchema, { seconds: 1n, nanos: 999_999_999 })), 1_999);
  });
});
