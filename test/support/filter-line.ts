import { type FilterTrace, linePrefix, timesText } from '../../plugins/engine/call/filter-status.ts';

const entry = /^([a-z0-9.-]+)@([^:]+):([a-z]+)=([a-z_]+)(?:\(([a-z_]+)\))?\/(\d+)(?:\/(\d+))?$/;

/** One line for all filters of a call: `id@version:type=status(detail)/ns, …`, with `/ns/waitNs` where one waited. */
export function formatFilterLine(traces: readonly FilterTrace[]): string {
  return traces
    .map((t) => `${linePrefix(t)}${t.status}${t.detail === '' ? '' : `(${t.detail})`}/${timesText(t.ns, t.waitNs)}`)
    .join(', ');
}

/** Reads such a line back. Throws on text that is none. */
export function parseFilterLine(line: string): FilterTrace[] {
  if (line === '') return [];
  return line.split(', ').map((text) => {
    const match = entry.exec(text);
    if (!match) throw new Error(`no entry of a filter line: "${text}"`);
    const [, id = '', version = '', type, status, detail = '', ns, waitNs = '0'] = match;
    return { id, version, type, status, detail, ns: Number(ns), waitNs: Number(waitNs) } as FilterTrace;
  });
}
