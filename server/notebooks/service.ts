import { notebookPagePolicy, renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { NotebookService } from '../../proto/gen/showrunner/notebooks/v1/notebook_service_pb.ts';
import type { Clock } from '../core/clock.ts';
import { invalidField } from '../core/errors.ts';
import { readResourceName } from '../rpc/edge/resource-name.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { jobIsNoNotebook, pageTooLarge } from './errors.ts';
import { toNotebookMessage, toRunEventMessage } from './notebook-message.ts';
import { createNotebookSource, outputPrefix } from './notebook-source.ts';
import { watchRun } from './watch-run.ts';

/** What this area needs to know of a job. */
export interface NotebookJob {
  readonly kind: string;
  readonly isEnded: boolean;
  /** Object key of its output notebook; undefined where the default holds. */
  readonly outputKey: string | undefined;
}

/** What the service reads from, and asks of other areas. */
export interface NotebookServiceDeps {
  readonly objects: ObjectStore;
  /** Folder of the shipped notebooks, `{name}.ipynb`. */
  readonly shippedDir: string;
  readonly clock: Clock;
  /** Largest page, in bytes: a bit less than the largest message. */
  readonly maxPageBytes: number;
  /** Throws JOB_NOT_FOUND. */
  getJob(id: string): Promise<NotebookJob>;
}

const jobId = /^[a-z0-9]{1,63}(\.[A-Za-z0-9_-]{1,64}){0,20}$/;

/** NotebookService of showrunner.notebooks.v1: reads notebooks, output pages and live runs; runs nothing itself. */
export function createNotebookService(deps: NotebookServiceDeps): ServiceRegistration {
  const { objects, clock, maxPageBytes, getJob } = deps;
  const source = createNotebookSource(objects, deps.shippedDir);

  async function getNotebookJob(name: string) {
    const [id] = readResourceName('job', name, ['jobs'], jobId);
    const job = await getJob(id);
    if (job.kind !== 'notebook') throw jobIsNoNotebook(name, job.kind);
    return { id, job };
  }

  async function outputKeyOf(run: { case?: string | undefined; value?: string | undefined }): Promise<string> {
    if (run.case === 'job') {
      const { id, job } = await getNotebookJob(run.value ?? '');
      return job.outputKey ?? `${outputPrefix}runs/${id}/output.ipynb`;
    }
    const key = run.value ?? '';
    if (!key.startsWith(outputPrefix) || !key.endsWith('.ipynb')) {
      throw invalidField('output_key', `must be an object key like "${outputPrefix}….ipynb"`);
    }
    return key;
  }

  return serviceOf(NotebookService, {
    listShippedNotebooks: async (_request, { signal }) => {
      const names = await source.listShipped();
      const read = async (name: string) => toNotebookMessage(name, await source.read(name, 'notebook', signal));
      return { notebooks: await Promise.all(names.map(read)) };
    },
    inspectNotebook: async ({ notebook }, { signal }) => {
      if (notebook === '') throw invalidField('notebook', 'must be "shipped/{name}" or an object key');
      return { notebook: toNotebookMessage(notebook, await source.read(notebook, 'notebook', signal)) };
    },
    getRunPage: async ({ run }, { signal }) => {
      const outputKey = await outputKeyOf(run);
      const html = Buffer.from(
        renderNotebookHtml(await source.read(outputKey, 'output_key', signal), {
          title: outputKey,
          maxLength: maxPageBytes,
        }),
      );
      if (html.length > maxPageBytes) throw pageTooLarge(outputKey, html.length, maxPageBytes);
      return { html, contentSecurityPolicy: notebookPagePolicy, outputKey };
    },
    watchRun: async function* ({ job, afterSequence }, { signal }) {
      const after = Number(afterSequence);
      if (!Number.isSafeInteger(after)) throw invalidField('after_sequence', 'is out of range');
      const { id } = await getNotebookJob(job);
      const hasEnded = async () => (await getJob(id)).isEnded;
      for await (const event of watchRun({ objects, clock, hasEnded }, id, after, signal)) {
        yield { event: toRunEventMessage(event) };
      }
    },
  });
}
