import { AppError, notFound } from '../core/errors.ts';
import type { BatchOperation, RecordRow, RecordsStore } from '../stores/records/records-store.ts';
import { jobBusy } from './job-errors.ts';
import { isTerminal, type JobEventBody, type JobEventRecord, type JobRecord } from './job-record.ts';

/** A record and the events that tell of the change, not yet numbered. */
export interface JobChange {
  readonly record: JobRecord;
  readonly events: readonly JobEventBody[];
  readonly atMs: number;
}

interface JobStoreOptions {
  /** Events kept per job. */
  readonly maxEvents: number;
  /** How long a job is kept after its end, in ms. */
  readonly retentionMs: number;
}

/**
 * Layout on the records store. `jobs/open` holds the ids of all jobs that still need something: those that have
 * not ended, and ended ones of which the queue has yet to be told. It is the outbox that a restart works off.
 * No row of a job expires before it is taken off: whoever goes on after an outage must find what it held.
 */
const partitions = {
  jobs: 'jobs',
  open: 'jobs/open',
  requests: 'jobs/requests',
  cursors: 'jobs/cursors',
  events: (id: string) => `jobs/events/${id}`,
} as const;

/** Where the log lines of a job lie. */
export function logLinesOf(id: string): string {
  return `jobs/logs/${id}`;
}

const maxTries = 20;
const countPage = 10_000;
const maxDeleted = 500;
const maxRewritten = 500;

/**
 * Job records with their events, and the list of those that still need something. Methods that change a job throw
 * JOB_BUSY when others change it again and again.
 */
export interface JobStore {
  /** Stores a new job with its request row, all or nothing. False when the id or the request key is taken. */
  create(change: JobChange, request?: { readonly key: string; readonly digest: string }): Promise<boolean>;
  find(id: string): Promise<JobRecord | undefined>;
  /** Throws JOB_NOT_FOUND. */
  get(id: string): Promise<JobRecord>;
  findRequest(key: string): Promise<{ readonly id: string; readonly digest: string } | undefined>;
  /** Changes a job; `decide` may run more than once and gives undefined to leave it. Undefined when absent. */
  update(id: string, decide: (record: JobRecord) => JobChange | undefined): Promise<JobRecord | undefined>;
  /** Jobs below the id `before`, newest first. */
  scan(before: string | undefined, limit: number): Promise<JobRecord[]>;
  /** Events with a sequence above `after`, in order. */
  events(id: string, after: number, limit: number): Promise<JobEventRecord[]>;
  /** Ids on the outbox after the given one, by id. */
  openIds(after: string | undefined, limit: number): Promise<string[]>;
  /** Removes a job with its events and its request. */
  delete(record: JobRecord): Promise<void>;
  /** True while the job is on the outbox. */
  isOpen(id: string): Promise<boolean>;
  /**
   * Takes an ended job off the outbox: from now on it is kept as long as its settings say. The result of a node of a
   * workflow run is kept until the run has ended at least.
   */
  closeOpen(id: string): Promise<void>;
  /** From now on the job of a node, whose run has ended, is kept as long as its settings say. */
  expire(id: string): Promise<void>;
  /** Jobs on the outbox, without parts, as `countOpen` found them and this server has changed them since. */
  openCount(): number;
  countOpen(): Promise<void>;
  readCursor(): Promise<string>;
  writeCursor(position: string): Promise<void>;
  /** Called after each change is stored. */
  onChange(listener: (id: string) => void): void;
}

/** Needs no start; `openCount` is 0 until `countOpen` has counted what is stored. */
export function createJobStore(records: RecordsStore, { maxEvents, retentionMs }: JobStoreOptions): JobStore {
  const listeners: ((id: string) => void)[] = [];
  let openCount = 0;
  const countOne = (id: string, by: 1 | -1) => {
    if (!isPartId(id)) openCount += by;
  };
  const load = async (id: string) => {
    const row = await records.get(partitions.jobs, id);
    return row === undefined ? undefined : { record: decode<JobRecord>(row.value), version: row.version };
  };
  const keepOf = ({ state, keepMs, keepFailedMs }: JobRecord) => {
    const failed = isTerminal(state) && state !== 'succeeded' && state !== 'skipped';
    return Math.min(retentionMs, (failed ? keepFailedMs : keepMs) ?? retentionMs);
  };
  const write = async (change: JobChange, ifVersion: bigint | 'absent', more: readonly BatchOperation[] = []) => {
    const first = change.record.sequence + 1;
    const record = { ...change.record, sequence: change.record.sequence + change.events.length };
    const events = change.events.map((body, i): JobEventRecord => ({ sequence: first + i, atMs: change.atMs, body }));
    // What is noted of a job after all was done adds nothing to the time that it is kept.
    const isLate = isTerminal(record.state) && ifVersion !== 'absent' && !(await isOpen(record.id));
    const ttl = isLate ? { ttlMs: keepOf(record) } : {};
    const partition = partitions.events(record.id);
    await records.batch([
      { kind: 'put', partition: partitions.jobs, key: record.id, value: encode(record), ifVersion, ...ttl },
      ...events.flatMap((event): BatchOperation[] => [
        { kind: 'put', partition, key: sequenceKey(event.sequence), value: encode(event), ...ttl },
        ...(event.sequence > maxEvents
          ? [{ kind: 'delete' as const, partition, key: sequenceKey(event.sequence - maxEvents) }]
          : []),
      ]),
      ...more,
    ]);
    for (const listener of listeners) listener(record.id);
    return record;
  };
  const isOpen = async (id: string) => (await records.get(partitions.open, id)) !== undefined;
  /** Lets the rows of an ended job expire; `more` is done together with the last of them. */
  const expire = async (id: string, more: readonly BatchOperation[] = []): Promise<void> => {
    for (let tries = 0; tries < maxTries; tries++) {
      const loaded = await load(id);
      if (loaded === undefined) return more.length === 0 ? undefined : records.batch(more);
      const { record, version } = loaded;
      const ttlMs = keepOf(record);
      const again = (partition: string, row: RecordRow): BatchOperation => ({
        ...{ kind: 'put', partition, key: row.key, value: row.value, ttlMs },
      });
      const rewrite = async (partition: string) => {
        for (let from = ''; ; ) {
          const rows = await records.scan(partition, { limit: maxRewritten, ...(from === '' ? {} : { from }) });
          if (rows.length > 0) await records.batch(rows.map((row) => again(partition, row)));
          if (rows.length < maxRewritten) return;
          from = `${rows.at(-1)?.key}\0`;
        }
      };
      await rewrite(partitions.events(id));
      // Lines are stored to last as long as any job does.
      if (ttlMs < retentionMs) await rewrite(logLinesOf(id));
      const { requestKey } = record;
      const request = requestKey === undefined ? undefined : await records.get(partitions.requests, requestKey);
      try {
        await records.batch([
          { kind: 'put', partition: partitions.jobs, key: id, value: encode(record), ifVersion: version, ttlMs },
          ...(request === undefined ? [] : [again(partitions.requests, request)]),
          ...more,
        ]);
        return;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
    throw jobBusy(`jobs/${id}`);
  };
  const hasRunEnded = async (run: string) => {
    const loaded = await load(run);
    return loaded === undefined || isTerminal(loaded.record.state);
  };

  return {
    create: async (change, request) => {
      const { id } = change.record;
      const open: BatchOperation = { kind: 'put', partition: partitions.open, key: id, value: new Uint8Array() };
      const requestRow: BatchOperation[] =
        request === undefined
          ? []
          : [
              {
                kind: 'put',
                partition: partitions.requests,
                key: request.key,
                value: encode({ id, digest: request.digest }),
                ifVersion: 'absent',
              },
            ];
      try {
        await write(change, 'absent', [open, ...requestRow]);
        countOne(id, 1);
        return true;
      } catch (error) {
        if (isConflict(error)) return false;
        throw error;
      }
    },
    find: async (id) => (await load(id))?.record,
    get: async (id) => {
      const loaded = await load(id);
      if (loaded === undefined) throw notFound('job', `jobs/${id}`);
      return loaded.record;
    },
    findRequest: async (key) => {
      const row = await records.get(partitions.requests, key);
      return row === undefined ? undefined : decode<{ id: string; digest: string }>(row.value);
    },
    update: async (id, decide) => {
      for (let tries = 0; tries < maxTries; tries++) {
        const loaded = await load(id);
        if (loaded === undefined) return undefined;
        const change = decide(loaded.record);
        if (change === undefined) return loaded.record;
        try {
          return await write(change, loaded.version);
        } catch (error) {
          if (!isConflict(error)) throw error;
        }
      }
      throw jobBusy(`jobs/${id}`);
    },
    scan: async (before, limit) => {
      const range = { reverse: true, limit, ...(before === undefined ? {} : { to: before }) };
      return (await records.scan(partitions.jobs, range)).map((row) => decode<JobRecord>(row.value));
    },
    events: async (id, after, limit) => {
      const rows = await records.scan(partitions.events(id), { from: sequenceKey(after + 1), limit });
      return rows.map((row) => decode<JobEventRecord>(row.value));
    },
    openIds: async (after, limit) => {
      const range = { limit, ...(after === undefined ? {} : { from: `${after}\0` }) };
      return (await records.scan(partitions.open, range)).map((row) => row.key);
    },
    delete: async ({ id, requestKey }) => {
      for (;;) {
        const rows = await records.scan(partitions.events(id), { limit: maxDeleted });
        await records.batch([
          ...rows.map((row): BatchOperation => ({ kind: 'delete', partition: partitions.events(id), key: row.key })),
          { kind: 'delete', partition: partitions.jobs, key: id },
          ...(requestKey === undefined
            ? []
            : [{ kind: 'delete' as const, partition: partitions.requests, key: requestKey }]),
        ]);
        if (rows.length < maxDeleted) break;
      }
      for (const listener of listeners) listener(id);
    },
    isOpen,
    closeOpen: async (id) => {
      if (!(await isOpen(id))) return;
      const { node } = (await load(id))?.record ?? {};
      const close: BatchOperation = { kind: 'delete', partition: partitions.open, key: id };
      if (node === undefined || node.index !== undefined) await expire(id, [close]);
      else {
        await records.batch([close]);
        // The end of a run lets those of its nodes expire that are closed by then; others see that it has ended.
        if (await hasRunEnded(node.run)) await expire(id);
      }
      countOne(id, -1);
    },
    expire: async (id) => {
      if (!(await isOpen(id))) await expire(id);
    },
    openCount: () => openCount,
    countOpen: async () => {
      let found = 0;
      for (let from = ''; ; ) {
        const rows = await records.scan(partitions.open, { limit: countPage, ...(from === '' ? {} : { from }) });
        found += rows.filter(({ key }) => !isPartId(key)).length;
        if (rows.length < countPage) break;
        from = `${rows.at(-1)?.key}\0`;
      }
      openCount = found;
    },
    readCursor: async () => {
      const row = await records.get(partitions.cursors, 'queue-events');
      return row === undefined ? '0-0' : decode<string>(row.value);
    },
    writeCursor: async (position) => void (await records.put(partitions.cursors, 'queue-events', encode(position))),
    onChange: (listener) => void listeners.push(listener),
  };
}

/** Ids of parts are the id of their job, then group and key behind dots. */
export function isPartId(id: string): boolean {
  return id.includes('.');
}

/** True for the error of a put whose condition did not hold. */
export function isConflict(error: unknown): boolean {
  return error instanceof AppError && error.reason === 'RECORD_CONFLICT';
}

/** JSON as bytes; undefined members are left out. */
export function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** What `encode` wrote; the rows of this area hold nothing else. */
export function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as T;
}

function sequenceKey(sequence: number): string {
  return String(sequence).padStart(12, '0');
}
