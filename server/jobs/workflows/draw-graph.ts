import { escapeMarkup } from '../../core/escape-markup.ts';
import { orderOf } from './check-workflow.ts';
import type { NodeRun, NodeState } from './run-state.ts';
import type { WorkflowEdge, WorkflowNode, WorkflowSpec } from './workflow.ts';

interface Placed {
  readonly node: WorkflowNode;
  readonly layer: number;
  readonly slot: number;
}

const box = { width: 190, height: 54, gapX: 70, gapY: 26, margin: 24, titleHeight: 34 } as const;
const maxTextChars = 26;

/** Fill and line by state; the last one is for a workflow without a run. */
const colours: Readonly<Record<NodeState | 'none', readonly [fill: string, line: string]>> = {
  waiting: ['#f4f4f5', '#a1a1aa'],
  running: ['#dbeafe', '#2563eb'],
  succeeded: ['#dcfce7', '#16a34a'],
  failed: ['#fee2e2', '#dc2626'],
  cancelled: ['#fef3c7', '#d97706'],
  timed_out: ['#fee2e2', '#b91c1c'],
  skipped: ['#fafafa', '#d4d4d8'],
  none: ['#ffffff', '#52525b'],
};

/** The workflow as SVG, drawn from left to right in layers; with `runs`, each node in the colour of its state. */
export function drawGraph({ id, nodes }: WorkflowSpec, runs?: Readonly<Record<string, NodeRun>>): string {
  const placed = place(nodes);
  const layers = Math.max(...placed.values().map(({ layer }) => layer)) + 1;
  const slots = Math.max(...placed.values().map(({ slot }) => slot)) + 1;
  const width = box.margin * 2 + layers * box.width + (layers - 1) * box.gapX;
  const height = box.margin * 2 + box.titleHeight + slots * box.height + (slots - 1) * box.gapY;
  const edges = [...placed.values()].flatMap((to) =>
    to.node.after.flatMap((edge) => {
      const from = placed.get(edge.node);
      return from === undefined ? [] : [drawEdge(from, to, edge)];
    }),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif">`,
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#71717a"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${box.margin}" y="${box.margin + 12}" font-size="16" font-weight="bold" fill="#18181b">${escapeMarkup(id)}</text>`,
    ...edges,
    ...[...placed.values()].map((node) => drawNode(node, runs?.[node.node.id])),
    '</svg>',
    '',
  ].join('\n');
}

/** Layer = longest way from a start; within a layer nodes stand near those that they come from (barycentres). */
function place(nodes: readonly WorkflowNode[]): Map<string, Placed> {
  const placed = new Map<string, Placed>();
  const order = orderOf(nodes) ?? nodes;
  const layerOf = new Map<string, number>();
  for (const { id, after } of order)
    layerOf.set(id, Math.max(-1, ...after.map((edge) => layerOf.get(edge.node) ?? 0)) + 1);
  const layers = [...Map.groupBy(order, ({ id }) => layerOf.get(id) ?? 0)].toSorted(([a], [b]) => a - b);
  for (const [layer, members] of layers) {
    const weights = members.map((node, index) => {
      const sources = node.after.flatMap((edge) => placed.get(edge.node)?.slot ?? []);
      return [
        node,
        sources.length === 0 ? index : sources.reduce((sum, slot) => sum + slot, 0) / sources.length,
      ] as const;
    });
    for (const [slot, [node]] of weights.toSorted(([, a], [, b]) => a - b).entries()) {
      placed.set(node.id, { node, layer, slot });
    }
  }
  return placed;
}

function cornerOf({ layer, slot }: Placed): { x: number; y: number } {
  return {
    x: box.margin + layer * (box.width + box.gapX),
    y: box.margin + box.titleHeight + slot * (box.height + box.gapY),
  };
}

function drawNode(placed: Placed, run: NodeRun | undefined): string {
  const { node } = placed;
  const { x, y } = cornerOf(placed);
  const state = run?.state;
  const [fill, line] = colours[state ?? 'none'];
  const dash = state === 'skipped' || state === 'waiting' ? ' stroke-dasharray="5 3"' : '';
  const about = [node.id, workOf(node), state ?? '', run?.error?.message ?? ''].filter(Boolean).join(' · ');
  return [
    `<g data-node="${escapeMarkup(node.id)}" data-state="${state ?? ''}"><title>${escapeMarkup(about)}</title>`,
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="8" fill="${fill}" stroke="${line}" stroke-width="1.5"${dash}/>`,
    `<text x="${x + 12}" y="${y + 22}" font-size="13" font-weight="bold" fill="#18181b">${escapeMarkup(shorten(node.id))}</text>`,
    `<text x="${x + 12}" y="${y + 41}" font-size="11" fill="#52525b">${escapeMarkup(shorten(noteOf(node, run)))}</text></g>`,
  ].join('');
}

function drawEdge(from: Placed, to: Placed, { on, when }: WorkflowEdge): string {
  const start = cornerOf(from);
  const end = cornerOf(to);
  const [x1, y1] = [start.x + box.width, start.y + box.height / 2];
  const [x2, y2] = [end.x - 2, end.y + box.height / 2];
  const bend = Math.max(30, (x2 - x1) / 2);
  const line = on === 'failure' ? '#dc2626' : '#71717a';
  const dash = on === 'success' ? '' : ' stroke-dasharray="6 4"';
  const path = `<path d="M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}" fill="none" stroke="${line}" stroke-width="1.4"${dash} marker-end="url(#tip)"/>`;
  const label = [on === 'success' ? '' : on, when].filter(Boolean).join(': ');
  if (label === '') return path;
  const place = `x="${(x1 + x2) / 2}" y="${(y1 + y2) / 2 - 5}"`;
  return `${path}<text ${place} font-size="10" text-anchor="middle" fill="${line}">${escapeMarkup(shorten(label))}</text>`;
}

function workOf({ work }: WorkflowNode): string {
  switch (work.type) {
    case 'job':
      return work.kind;
    case 'run':
      return `template ${work.template}`;
    case 'workflow':
      return `workflow ${work.workflow}`;
    case 'signal':
      return `on ${work.eventKind}`;
  }
}

function noteOf(node: WorkflowNode, run: NodeRun | undefined): string {
  const items = run?.items;
  const parts = [workOf(node)];
  if (items !== undefined) parts.push(`${items.succeeded + items.failed + items.notRun}/${items.total}`);
  else if (node.foreach !== undefined) parts.push('for each');
  if (run !== undefined) parts.push(run.state.replace('_', ' '));
  return parts.join(' · ');
}

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= maxTextChars ? text : `${characters.slice(0, maxTextChars - 1).join('')}…`;
}
