import { toJsonString } from '@bufbuild/protobuf';
import { JobTemplateSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { showMade } from './job-commands.ts';
import { formatTemplates } from './job-views.ts';
import { putResource, runRequest, scanPages } from './resources.ts';
import { nameIn, print, readResource, type Subcommand } from './turn.ts';

/** Of templates. */
export const templateCommands: Readonly<Record<string, Subcommand>> = {
  list: {
    usage: 'list',
    doc: 'all templates by name',
    run: async ({ client, call }) => {
      print(
        formatTemplates(
          await scanPages(
            (page) => client.listTemplates(page, call),
            ({ templates }) => templates,
          ),
        ),
      );
    },
  },
  get: {
    usage: 'get TEMPLATE',
    doc: 'a template as JSON',
    run: async ({ client, call, args }) => {
      const { template } = await client.getTemplate({ name: nameIn('templates', args[0]) }, call);
      if (template) print(toJsonString(JobTemplateSchema, template, { prettySpaces: 2 }));
    },
  },
  put: {
    usage: 'put TEMPLATE JSON|@FILE',
    doc: 'create a template or replace it',
    run: async ({ client, call, args }) => {
      const given = readResource(JobTemplateSchema, nameIn('templates', args[0]), args[1]);
      const { template } = await putResource(
        () => client.updateTemplate({ template: given }, call),
        () => client.createTemplate({ template: given }, call),
      );
      if (template) print(`${template.name} revision ${template.revision}`);
    },
  },
  run: {
    usage: 'run TEMPLATE [JSON|@FILE] [--label K=V]… [--request-id ID] [--watch]',
    doc: 'make a job of a template with parameters',
    run: async (turn) => {
      const { job, existed } = await turn.client.runTemplate(runRequest('templates', turn), turn.call);
      await showMade(turn, job, existed);
    },
  },
  unblock: {
    usage: 'unblock TEMPLATE',
    doc: 'let a strictly sequential template go on after a failed run',
    run: async ({ client, call, args }) =>
      void (await client.unblockTemplate({ name: nameIn('templates', args[0]) }, call)),
  },
  delete: {
    usage: 'delete TEMPLATE',
    doc: 'delete a template; its jobs stay',
    run: async ({ client, call, args }) =>
      void (await client.deleteTemplate({ name: nameIn('templates', args[0]) }, call)),
  },
};
