import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Clock } from '../../server/core/clock.ts';
import { type TurnsRequest, turnOf, turnRange } from './fair-turns.ts';
import type { JobProgress, Json } from './job-kind.ts';
import type { FailureCounts } from './job-limits.ts';
import type { FailureClass, JobOutcome } from './job-outcome.ts';
import * as scripts from './ledger-scripts.ts';
import { jobValueTooLarge } from './queue-errors.ts';
import type { QueueKeys } from './queue-keys.ts';
import { turnsScript } from './turns-script.ts';
import type { Usage } from './usage-meter.ts';

/** Most steps of a job. */
const maxSteps = 1_000;
/** Most bytes of all step results of a job together. */
export const maxMemoBytes = 4 * 1024 * 1024;
/** How long a job's hash stays after a server has taken its outcome over, in seconds: guards late duplicates. */
const releasedTtlSeconds = 3_600;

/** An attempt as the ledger knows it. */
export interface Holder {
  readonly jobId: string;
  readonly fence: bigint;
  readonly attempt: number;
}

/** The attempt that may run now, with how earlier ones failed; or the outcome of a job that had ended already. */
export type StartResult =
  | { readonly ended: JobOutcome }
  | { readonly ended?: never; readonly holder: Holder; readonly failures: FailureCounts };

/** Why an attempt ended without an outcome. */
export type LeaveReason = { readonly usage?: Usage } & (
  | {
      readonly why: 'parked';
      readonly group: string;
      readonly children: number;
      readonly done: number;
      /** Queue classes of children that no worker takes jobs of; absent = none. */
      readonly unserved?: readonly string[];
    }
  | { readonly why: 'released' }
  | {
      readonly why: 'retry';
      readonly class: FailureClass;
      readonly reason: string;
      readonly message: string;
      readonly delayMs: number;
    }
);

/** Facts of a child job, as the event stream carries them. */
export interface ChildNote {
  readonly parent: string;
  readonly kind: string;
  readonly queueClass: string;
  readonly label: string;
  readonly priority: number;
  readonly params?: Json;
}

/** Typed access to the ledger scripts; see ledger-scripts.ts for their rules. */
export interface JobLedger {
  start(jobId: string, body: StartBody, place: StartPlace): Promise<StartResult>;
  /** Takes `count` turns for the owner and gives each, see fair-turns.ts. */
  takeTurns(request: TurnsRequest, count: number): Promise<number[]>;
  report(holder: Holder, report: JobProgress): Promise<boolean>;
  leave(holder: Holder, reason: LeaveReason): Promise<boolean>;
  resume(holder: Holder): Promise<boolean>;
  finish(holder: Holder, outcome: JobOutcome): Promise<boolean>;
  cancel(jobId: string, outcome: JobOutcome): Promise<JobOutcome>;
  findMemo(jobId: string, step: string): Promise<Json | undefined>;
  /** Undefined when refused (a newer attempt holds the job). Throws JOB_VALUE_TOO_LARGE. */
  storeMemo(holder: Holder, step: string, value: Json): Promise<{ value: Json } | undefined>;
  addChildren(holder: Holder, children: readonly { readonly id: string; readonly note: ChildNote }[]): Promise<boolean>;
  /** Child ids with their queue class. */
  childrenOf(jobId: string): Promise<Map<string, string>>;
  /** Fence and outcome per job, in order. */
  inspect(jobIds: readonly string[]): Promise<{ readonly fence: bigint; readonly outcome: JobOutcome | undefined }[]>;
  /** Lets the job's hash, memos and children expire. */
  release(jobId: string): Promise<void>;
}

/** Who starts a job. */
export interface StartBody {
  /** `host/pid/class#slot`. */
  readonly worker: string;
  /** Of a part: its facts, should the stream not have told them yet. */
  readonly child?: ChildNote;
}

/** Where a job stands that starts. */
export interface StartPlace {
  readonly queueClass: string;
  readonly priority: number;
  /** Its turn among the owners. */
  readonly turn: number;
  /** Fence and attempt start above these. */
  readonly least: { readonly fence: bigint; readonly attempt: number };
}

/** The ledger in that Redis. Methods throw whatever the Redis client throws while Redis is away. */
export function createJobLedger(redis: Redis, keys: QueueKeys, clock: Clock): JobLedger {
  const run = async (script: string, names: readonly string[], args: readonly (string | number)[]) => {
    const all = [...names, ...args];
    try {
      return await redis.evalsha(shaOf(script), names.length, ...all);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await redis.eval(script, names.length, ...all);
    }
  };
  const now = () => Math.round(clock.now());
  const guarded = async (script: string, holder: Holder, body: unknown, ...more: string[]) => {
    const { jobId, fence, attempt } = holder;
    const args = [jobId, now(), JSON.stringify(body), String(fence), attempt, ...more];
    return (await run(script, [keys.job(jobId), keys.events], args)) === 1;
  };

  return {
    start: async (jobId, body, { queueClass, priority, turn, least }) => {
      const names = [keys.job(jobId), keys.events, keys.turns(queueClass, priority)];
      const args = [jobId, now(), JSON.stringify(body), String(least.fence), least.attempt, turn];
      const reply = (await run(scripts.startScript, names, args)) as (string | number)[];
      if (reply[0] === 0) return { ended: JSON.parse(String(reply[1])) as JobOutcome };
      const holder = { jobId, fence: BigInt(reply[1] ?? 0), attempt: Number(reply[2]) };
      const [killed = 0, user = 0, platform = 0, timeout = 0] = reply.slice(3).map(Number);
      return { holder, failures: { user, platform, timeout, killed } };
    },
    takeTurns: async ({ queueClass, priority, owner = '', weight, parentId = '' }, count) => {
      const names = [keys.turns(queueClass, priority), keys.waiting(queueClass)];
      const range = turnRange(priority);
      const args = [owner, turnOf(weight), count, parentId, keys.queued(queueClass, ''), range.base, range.lastTurn];
      return (await run(turnsScript, names, args)) as number[];
    },
    report: (holder, report) => guarded(scripts.reportScript, holder, report),
    leave: (holder, reason) => guarded(scripts.leaveScript, holder, reason, reason.why === 'retry' ? reason.class : ''),
    finish: (holder, outcome) => guarded(scripts.finishScript, holder, outcome),
    resume: async ({ jobId, fence }) =>
      (await run(scripts.resumeScript, [keys.job(jobId), keys.events], [String(fence)])) === 1,
    cancel: async (jobId, outcome) => {
      const args = [jobId, now(), JSON.stringify(outcome), keys.cancelChannel];
      return JSON.parse(String(await run(scripts.cancelScript, [keys.job(jobId), keys.events], args))) as JobOutcome;
    },
    findMemo: async (jobId, step) => {
      const stored = await redis.hget(keys.memo(jobId), step);
      return stored === null ? undefined : (JSON.parse(stored) as Json);
    },
    storeMemo: async ({ jobId, fence }, step, value) => {
      const names = [keys.job(jobId), keys.events, keys.memo(jobId)];
      const args = [String(fence), step, JSON.stringify(value), maxSteps, maxMemoBytes];
      const [code, stored] = (await run(scripts.memoScript, names, args)) as [number, string | number];
      if (code === -1) throw jobValueTooLarge('step results', Number(stored), maxMemoBytes);
      return code === 1 ? { value: JSON.parse(String(stored)) as Json } : undefined;
    },
    addChildren: async ({ jobId, fence }, children) => {
      const names = [keys.job(jobId), keys.events, keys.children(jobId)];
      const notes = children.flatMap(({ id, note }) => [id, note.queueClass, JSON.stringify(note)]);
      return (await run(scripts.addChildrenScript, names, [String(fence), now(), ...notes])) === 1;
    },
    childrenOf: async (jobId) => new Map(Object.entries(await redis.hgetall(keys.children(jobId)))),
    inspect: async (jobIds) => {
      const pipeline = redis.pipeline();
      for (const jobId of jobIds) pipeline.hmget(keys.job(jobId), 'fence', 'outcome');
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, values]) => {
        if (error) throw error;
        const [fence, outcome] = values as [string | null, string | null];
        return {
          fence: BigInt(fence ?? 0),
          outcome: outcome === null ? undefined : (JSON.parse(outcome) as JobOutcome),
        };
      });
    },
    release: async (jobId) => {
      const waiting = [jobId];
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        waiting.push(...(await redis.hkeys(keys.children(id))));
        for (const key of [keys.job(id), keys.memo(id), keys.children(id)]) {
          await redis.expire(key, releasedTtlSeconds);
        }
      }
    },
  };
}

const shas = new Map<string, string>();

function shaOf(script: string): string {
  const known = shas.get(script);
  if (known !== undefined) return known;
  const sha = createHash('sha1').update(script).digest('hex');
  shas.set(script, sha);
  return sha;
}
