/** Default prefix of all keys; the braces keep them on one node of a Redis Cluster. */
export const defaultPrefix = '{showrunner}';

/** Names of everything the queue keeps in Redis besides BullMQ's own keys. */
export interface QueueKeys {
  readonly prefix: string;
  /** Stream of job events, from workers to servers. */
  readonly events: string;
  /** Channel on which ids of cancelled jobs are published. */
  readonly cancelChannel: string;
  /** Stream of finished spans, from workers to servers. */
  readonly spans: string;
  /** Stream of log lines of attempts, from workers to servers. */
  readonly logs: string;
  /** Hash that says whose this Redis is. */
  readonly owner: string;
  /** Hash with fence, attempt, outcome and counters of a job. */
  job(jobId: string): string;
  /** Hash of a job's step memos. */
  memo(jobId: string): string;
  /** Hash of a job's children: child id → queue class. */
  children(jobId: string): string;
  /** Hash of the turns of owners within a queue class and priority, see fair-turns.ts. */
  turns(queueClass: string, priority: number): string;
  /** Sorted set of the worker processes that take jobs of a class, by their last sign. */
  workers(queueClass: string): string;
  /** Hash of the workers that cannot do a job. */
  unfit(jobId: string): string;
  /** BullMQ's own set of the jobs of a class that wait. */
  waiting(queueClass: string): string;
  /** BullMQ's own set of those that wait for their time. */
  delayed(queueClass: string): string;
  /** BullMQ's own list of those at work. */
  active(queueClass: string): string;
  /** BullMQ's own mark that lost workers of the class were looked for just now. */
  stalledCheck(queueClass: string): string;
  /** BullMQ's own hash of a job; with `:lock` behind it the lease of its worker. */
  queued(queueClass: string, jobId: string): string;
}

/** The names under that prefix, which must be the same for the server and its workers. */
export function queueKeys(prefix: string): QueueKeys {
  return {
    prefix,
    events: `${prefix}:job-events`,
    cancelChannel: `${prefix}:job-cancel`,
    spans: `${prefix}:spans`,
    logs: `${prefix}:job-logs`,
    owner: `${prefix}:owner`,
    job: (jobId) => `${prefix}:job:${jobId}`,
    memo: (jobId) => `${prefix}:job:${jobId}:memo`,
    children: (jobId) => `${prefix}:job:${jobId}:children`,
    turns: (queueClass, priority) => `${prefix}:turns:${queueClass}:${priority}`,
    workers: (queueClass) => `${prefix}:workers:${queueClass}`,
    unfit: (jobId) => `${prefix}:job:${jobId}:unfit`,
    waiting: (queueClass) => `${prefix}:${queueClass}:prioritized`,
    delayed: (queueClass) => `${prefix}:${queueClass}:delayed`,
    active: (queueClass) => `${prefix}:${queueClass}:active`,
    stalledCheck: (queueClass) => `${prefix}:${queueClass}:stalled-check`,
    queued: (queueClass, jobId) => `${prefix}:${queueClass}:${jobId}`,
  };
}
