import type { DescEnum, MessageShape } from '@bufbuild/protobuf';
import {
  type FilterRun,
  FilterRun_Status,
  FilterRun_StatusSchema,
  type FilterSchema,
  FilterStageSchema,
  FilterTypeSchema,
} from '../../../proto/gen/showrunner/filters/v1/filter_pb.ts';
import { formatTable } from '../terminal/table.ts';

type Filter = MessageShape<typeof FilterSchema>;
type Duration = { readonly seconds: bigint; readonly nanos: number };

function enumName(desc: DescEnum, value: number): string {
  return desc.value[value]?.localName ?? String(value);
}

/** `filters/a.b/versions/1.0.0` as `a.b` and `1.0.0`. */
function partsOf(name: string): [id: string, version: string] {
  const [, id = '', , version = ''] = name.split('/');
  return [id, version];
}

function timeText(time: Duration | undefined): string {
  if (time === undefined) return '-';
  const ns = Number(time.seconds) * 1e9 + time.nanos;
  if (ns < 1000) return `${ns} ns`;
  return ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : `${(ns / 1e6).toFixed(1)} ms`;
}

function stageText({ stage, share }: Filter): string {
  const name = enumName(FilterStageSchema, stage);
  return share > 0 ? `${name} ${(share * 100).toPrecision(3)} %` : name;
}

/** One line per version. */
export function formatFilters(filters: readonly Filter[]): string {
  const rows = filters.map((filter) => {
    const [id, version] = partsOf(filter.name);
    const { stats } = filter;
    const faults = (stats?.failed ?? 0n) + (stats?.timedOut ?? 0n);
    return [
      ...[enumName(FilterTypeSchema, filter.type), String(filter.order), id, version, stageText(filter)],
      ...[String(stats?.ran ?? 0n), String(stats?.skipped ?? 0n), String(stats?.shortCircuited ?? 0n)],
      ...[String(faults), timeText(stats?.p50), timeText(stats?.p99)],
    ];
  });
  const head = ['type', 'order', 'filter', 'version', 'stage', 'ran', 'skipped', 'ended calls', 'faults', 'p50', 'p99'];
  return formatTable([head, ...rows], [1, 5, 6, 7, 8, 9, 10]);
}

/** One line per filter of a call. */
export function formatRuns(runs: readonly FilterRun[]): string {
  const rows = runs.map(({ filter, type, status, detail, duration, wait }) => {
    const [id, version] = partsOf(filter);
    const time = status === FilterRun_Status.SKIPPED || status === FilterRun_Status.DISABLED ? '' : timeText(duration);
    const waited = wait === undefined ? '' : timeText(wait);
    const what = [enumName(FilterTypeSchema, type), id, version, enumName(FilterRun_StatusSchema, status), detail];
    return [...what, time, waited];
  });
  return formatTable([['type', 'filter', 'version', 'status', 'detail', 'time', 'waited'], ...rows], [5, 6]);
}

/** One line for a change. */
export function formatChange(filter: Filter): string {
  const [id, version] = partsOf(filter.name);
  return `${id} ${version} ${stageText(filter)}: ${filter.explanation}`;
}
