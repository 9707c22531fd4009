import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CreateJobRequestSchema,
  CreateWorkflowRequestSchema,
} from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { RecommendRequestSchema } from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { AppError } from '../../server/core/errors.ts';
import { decodeRequest } from '../../server/rpc/codec.ts';

/** The faulty fields of a request; none when it is read. */
function faultsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    assert.ok(error instanceof AppError && error.reason === 'INVALID_FIELDS', String(error));
    return error.fields.map(({ field }) => field);
  }
}

describe('JSON in a request', () => {
  const job = (params: object) => {
    const bytes = toBinary(
      CreateJobRequestSchema,
      create(CreateJobRequestSchema, { job: { params: params as never } }),
    );
    return () => decodeRequest(CreateJobRequestSchema, bytes);
  };

  it('is read as it was sent', () => {
    const params = { a: [1, null, { b: true }], c: 1e300, d: -0.5, e: '' };
    assert.deepEqual(
      fromBinary(CreateJobRequestSchema, toBinary(CreateJobRequestSchema, job(params)() as never)).job?.params,
      params,
    );
  });

  it('is refused with a number that JSON has not, wherever it lies, and named', () => {
    for (const params of [{ a: Number.NaN }, { a: [{ b: Number.POSITIVE_INFINITY }] }]) {
      assert.deepEqual(faultsOf(job(params)), ['job.params']);
    }
  });

  it('is refused without a value, also in lists and behind a choice', () => {
    const value = (params: object) => ({ case: 'job' as const, value: { kind: 'noop', params: params as never } });
    const request = create(CreateWorkflowRequestSchema, {
      workflow: {
        nodes: [
          { id: 'a', work: value({ fine: 1 }), foreach: { items: { kind: { case: 'numberValue', value: 1 } } } },
          { id: 'b', work: value({ a: Number.NaN }), foreach: { items: {} } },
        ],
      },
    });
    const bytes = toBinary(CreateWorkflowRequestSchema, request);
    assert.deepEqual(
      faultsOf(() => decodeRequest(CreateWorkflowRequestSchema, bytes)),
      ['workflow.nodes[1].job.params', 'workflow.nodes[1].foreach.items'],
    );
  });

  it('is not looked for in requests that have none', () => {
    const bytes = toBinary(RecommendRequestSchema, create(RecommendRequestSchema, { profile: 'profiles/7' }));
    assert.deepEqual(
      faultsOf(() => decodeRequest(RecommendRequestSchema, bytes)),
      [],
    );
  });
});
