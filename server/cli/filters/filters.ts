import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { toJsonString } from '@bufbuild/protobuf';
import { openFilterKit } from '../../../plugins/engine/filter-kit.ts';
import { registerFilterImports } from '../../../plugins/engine/load/import-filter.ts';
import { FilterAdminService } from '../../../proto/gen/showrunner/filters/v1/filter_admin_service_pb.ts';
import { FilterSchema, FilterStage } from '../../../proto/gen/showrunner/filters/v1/filter_pb.ts';
import { codeName } from '../../core/codes.ts';
import { invalidField } from '../../core/errors.ts';
import type { RpcClient } from '../../rpc/client.ts';
import { type CallOptions, connectionHelp, connectionOptions, withConnection } from '../connection.ts';
import { scaffoldFilter } from './scaffold.ts';
import { readConfigJson, readSource } from './source.ts';
import { formatChange, formatFilters, formatRuns } from './view.ts';

const options = {
  ...connectionOptions,
  path: { type: 'string', default: '' },
  past: { type: 'boolean', default: false },
  sign: { type: 'string' },
  config: { type: 'string' },
  share: { type: 'string' },
  principal: { type: 'string', multiple: true },
  reset: { type: 'boolean', default: false },
  dir: { type: 'string', default: '.' },
} as const;

type Values = ReturnType<typeof parse>['values'];

/** What a subcommand that calls the server is given. */
interface Turn {
  readonly client: RpcClient<typeof FilterAdminService>;
  readonly call: CallOptions;
  readonly args: readonly string[];
  readonly values: Values;
}

interface Subcommand {
  readonly usage: string;
  readonly doc: string;
  run(turn: Turn): Promise<void>;
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], allowPositionals: true, options });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function nameOf(text: string | undefined): string {
  if (text === undefined || text === '') throw invalidField('FILTER', 'expected the id of a filter');
  return text.startsWith('filters/') ? text : `filters/${text.replace('@', '/versions/')}`;
}

function required(text: string | undefined, what: string): string {
  if (text === undefined || text === '') throw invalidField(what, 'is missing');
  return text;
}

const stages = { shadow: FilterStage.SHADOW, canary: FilterStage.CANARY, active: FilterStage.ACTIVE } as const;

function readStage(text: string | undefined): FilterStage {
  if (text === 'shadow' || text === 'canary' || text === 'active') return stages[text];
  throw invalidField('STAGE', 'expected shadow, canary or active');
}

function readShare(text: string | undefined, stage: FilterStage): number {
  if (stage === FilterStage.ACTIVE && text === undefined) return 0;
  const share = Number(text ?? '');
  if (text === undefined || !(share > 0 && share <= 1))
    throw invalidField('--share', 'expected a number above 0 and up to 1');
  return share;
}

async function switchFilter({ client, call, args }: Turn, disabled: boolean): Promise<void> {
  const { filter } = await client.setFilterDisabled({ name: nameOf(args[0]), disabled }, call);
  if (filter) print(formatChange(filter));
}

const subcommands: Readonly<Record<string, Subcommand>> = {
  list: {
    usage: 'list [--path /pkg.Service/Method] [--past]',
    doc: 'the filters in running order; with --path those that a call would meet',
    run: async ({ client, call, values }) => {
      const { filters, snapshot } = await client.listFilters({ path: values.path, includePast: values.past }, call);
      print(`${formatFilters(filters)}\nset ${snapshot}`);
    },
  },
  get: {
    usage: 'get ID[@VERSION]',
    doc: 'one version as JSON',
    run: async ({ client, call, args }) => {
      const { filter } = await client.getFilter({ name: nameOf(args[0]) }, call);
      if (filter) print(toJsonString(FilterSchema, filter, { prettySpaces: 2 }));
    },
  },
  stage: {
    usage: 'stage FILE|FOLDER... [--sign KEY.pem] [--config JSON|@FILE]',
    doc: 'check new versions as one group; prints the group',
    run: async ({ client, call, args, values }) => {
      if (args.length === 0) throw invalidField('FILTER', 'expected files or folders of filters');
      if (values.config !== undefined && args.length > 1) throw invalidField('--config', 'is for one filter');
      const config = values.config === undefined ? {} : { config: readConfigJson(values.config) };
      const read = await Promise.all(args.map((path) => readSource(path, values.sign)));
      const sources = read.map((source) => ({ ...source, ...config }));
      const { group, filters } = await client.stageFilters({ sources }, call);
      for (const filter of filters) process.stderr.write(`${formatChange(filter)}\n`);
      print(group);
    },
  },
  promote: {
    usage: 'promote GROUP shadow|canary|active [--share S] [--principal ID]...',
    doc: 'let a group take (a share of the) calls',
    run: async ({ client, call, args, values }) => {
      const stage = readStage(args[1]);
      const share = readShare(values.share, stage);
      const request = { group: required(args[0], 'GROUP'), stage, share, principals: values.principal ?? [] };
      const { filters, snapshot } = await client.promoteFilters(request, call);
      print(`${filters.map(formatChange).join('\n')}\nset ${snapshot}`);
    },
  },
  rollback: {
    usage: 'rollback GROUP [REASON]',
    doc: 'put the versions before back',
    run: async ({ client, call, args }) => {
      const { filters, snapshot } = await client.rollbackFilters(
        { group: required(args[0], 'GROUP'), reason: args[1] ?? '' },
        call,
      );
      print([...filters.map(formatChange), `set ${snapshot}`].join('\n'));
    },
  },
  disable: { usage: 'disable ID', doc: 'switch a filter off', run: (turn) => switchFilter(turn, true) },
  enable: { usage: 'enable ID', doc: 'switch it on again', run: (turn) => switchFilter(turn, false) },
  config: {
    usage: 'config ID JSON|@FILE | config ID --reset',
    doc: 'give a filter a whole new configuration, or the one of the settings again',
    run: async ({ client, call, args, values }) => {
      const config = values.reset ? {} : { config: readConfigJson(required(args[1], 'CONFIG')) };
      const { filter } = await client.setFilterConfig({ name: nameOf(args[0]), ...config }, call);
      if (filter) print(toJsonString(FilterSchema, filter, { prettySpaces: 2 }));
    },
  },
  explain: {
    usage: 'explain CALL_ID',
    doc: 'what every filter did in a recent call (the x-request-id of its answer), and why',
    run: async ({ client, call, args }) => {
      const { path, runs, code, snapshot } = await client.explainCall({ callId: required(args[0], 'CALL_ID') }, call);
      print(`${path} ${codeName(code as Parameters<typeof codeName>[0])}, set ${snapshot}\n${formatRuns(runs)}`);
    },
  },
  watch: {
    usage: 'watch [ID]',
    doc: 'the versions as they are, then every change, until interrupted',
    run: async ({ client, call: { signal }, args }) => {
      const name = args[0] === undefined ? '' : nameOf(args[0]);
      try {
        for await (const { filter } of client.watchFilters({ name }, { signal }))
          if (filter) print(formatChange(filter));
      } catch (error) {
        // Interrupted: that is how a watch ends.
        if (!signal.aborted) throw error;
      }
    },
  },
};

const local: readonly Pick<Subcommand, 'usage' | 'doc'>[] = [
  { usage: 'new ID [--dir DIR]', doc: 'make a folder with a filter, its self-tests and a test' },
  {
    usage: 'test FOLDER [--config JSON|@FILE]',
    doc: 'check a filter, run its self-tests, what servers do to filters, and its filter.test.ts',
  },
];

function usageText(): string {
  const all = [...Object.values(subcommands), ...local];
  return all.map(({ usage, doc }) => `  showrunner filters ${usage}\n      ${doc}`).join('\n');
}

/** Help of `filters`. */
export function filtersHelp(): string {
  return `usage:\n${usageText()}\n\n${connectionHelp}`;
}

async function testFilter(place: string | undefined, config: string | undefined): Promise<number> {
  const folder = resolve(required(place, 'FOLDER'));
  const given = config === undefined ? {} : { config: readConfigJson(config) };
  await using kit = await openFilterKit(folder, given);
  const names = await kit.selfTest();
  print(`${kit.id} ${kit.version}: checked, ${names.length} self-tests passed`);
  const found = await kit.conform();
  for (const { check, isPassed, detail } of found) print(`${isPassed ? 'ok' : 'FAULT'}  ${check}: ${detail}`);
  if (found.some(({ isPassed }) => !isPassed)) return 1;
  const test = join(folder, 'filter.test.ts');
  if (existsSync(test)) {
    registerFilterImports();
    // node:test runs what the file registers and sets the exit code at the end of the process.
    await import(pathToFileURL(test).href);
  }
  return 0;
}

/** `showrunner filters SUBCOMMAND`: the life of filters on a running server, and tools for their authors. */
export async function filters(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parse(args);
  const [name = '', ...rest] = positionals;
  if (name === 'new') {
    const folder = scaffoldFilter(required(rest[0], 'ID'), values.dir);
    print(`${folder}: try it with "showrunner filters test ${folder}"`);
    return 0;
  }
  if (name === 'test') return testFilter(rest[0], values.config);
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (subcommand === undefined) {
    process.stderr.write(`usage:\n${usageText()}\n`);
    return 2;
  }
  return withConnection(FilterAdminService, values, env, (client, call) =>
    subcommand.run({ client, call, args: rest, values }),
  );
}
