import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Upload, Upload_State } from '../../../proto/gen/showrunner/transcode/v1/transcode_pb.ts';
import type {
  TranscodeService,
  UploadSourceRequestSchema,
} from '../../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import { Code } from '../../core/codes.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import type { RpcClient } from '../../rpc/client.ts';

/** Bytes of one message: well below any server's message limit. */
const messageBytes = 512 * 1024;
/** Streams that may break one after the other without a byte of progress. */
const mostBreaks = 5;
const pauseMs = 1_000;

interface UploadFileOptions {
  /** For one stream, in ms. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** 0 to 1 of the stage. */
  readonly onProgress: (fraction: number, stage: 'checksum' | 'upload', note: string) => void;
  /** Waits between two streams; a test's clock may make it short. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Failures of the connection, after which the same bytes may go through. */
function isBreak(error: unknown): error is AppError {
  if (!(error instanceof AppError)) return false;
  return error.code === Code.UNAVAILABLE || ['UPLOAD_OFFSET_MISMATCH', 'UPLOAD_IDLE'].includes(error.reason);
}

/** SHA-256 of a local file, in lower-case hex. */
async function digestFile(path: string, size: number, { signal, onProgress }: UploadFileOptions): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024, signal }) as AsyncIterable<Buffer>) {
    hash.update(piece);
    done += piece.length;
    onProgress(done / size, 'checksum', '');
  }
  return hash.digest('hex');
}

/**
 * Sends a local file as a source; goes on where it was when a stream breaks, and sends nothing that the server has.
 * Gives the complete upload. INVALID_FIELDS for a file that cannot be read; errors of UploadSource.
 */
export async function uploadFile(
  client: RpcClient<typeof TranscodeService>,
  path: string,
  options: UploadFileOptions,
): Promise<Upload> {
  const info = await stat(path).catch((error: Error) => {
    throw invalidField('FILE', error.message);
  });
  if (!info.isFile() || info.size === 0) throw invalidField('FILE', `${path} is not a file with content`);
  const { size } = info;
  const sha256 = await digestFile(path, size, options);
  const { signal, deadlineMs } = options;

  async function* messages(offset: number): AsyncGenerator<MessageInitShape<typeof UploadSourceRequestSchema>> {
    const header = { sha256, sizeBytes: BigInt(size), offsetBytes: BigInt(offset) };
    yield { part: { case: 'header', value: header } };
    let sent = offset;
    const file = createReadStream(path, { start: offset, highWaterMark: messageBytes, signal });
    for await (const piece of file as AsyncIterable<Buffer>) {
      yield { part: { case: 'data', value: piece } };
      sent += piece.length;
      options.onProgress(sent / size, 'upload', `${(sent / 1e6).toFixed(1)} of ${(size / 1e6).toFixed(1)} MB`);
    }
  }

  let known = await findUpload(client, sha256, options);
  for (let breaks = 0; known?.state !== Upload_State.COMPLETE; ) {
    const offset = Number(known?.receivedBytes ?? 0);
    try {
      known = (await client.uploadSource(messages(offset), { signal, deadlineMs })).upload;
      if (known?.state === Upload_State.RECEIVING) throw invalidField('FILE', `${path} became shorter on the way`);
    } catch (error) {
      if (!isBreak(error)) throw error;
      await options.sleep(pauseMs, signal);
      known = await findUpload(client, sha256, options).catch(() => known);
      breaks = Number(known?.receivedBytes ?? 0) > offset ? 0 : breaks + 1;
      if (breaks >= mostBreaks) throw error;
    }
  }
  return known;
}

/** What the server has of it; undefined for content that it has never seen. */
async function findUpload(
  client: RpcClient<typeof TranscodeService>,
  sha256: string,
  { signal }: UploadFileOptions,
): Promise<Upload | undefined> {
  try {
    return (await client.getUpload({ name: `uploads/${sha256}` }, { signal, deadlineMs: 10_000 })).upload;
  } catch (error) {
    if (error instanceof AppError && error.reason === 'UPLOAD_NOT_FOUND') return undefined;
    throw error;
  }
}
