import { upperHull } from './hull.ts';
import type { CodecLadder, LadderPoint, LadderReport } from './ladder-report.ts';

const panel = { width: 760, height: 380, left: 56, right: 170, top: 46, bottom: 46 } as const;
/** Colours that differ in lightness too, tallest picture darkest. */
const colours = ['#1b3a6b', '#2f6db5', '#1f8a8a', '#4fa64a', '#b0a028', '#d97b29', '#c4473a', '#8a3a72'];

interface Scale {
  x(kbps: number): number;
  y(score: number): number;
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
}

function scoreOf(ladder: CodecLadder, point: LadderPoint): number | undefined {
  return ladder.metric === 'vmaf' ? point.vmaf : point.ssimDb;
}

function num(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '');
}

/** Round steps that cut a range into about six. */
function stepOf(span: number): number {
  const raw = span / 6;
  const base = 10 ** Math.floor(Math.log10(raw));
  return base * ([1, 2, 5, 10].find((factor) => factor * base >= raw) ?? 10);
}

function scaleOf(ladder: CodecLadder): Scale {
  const shown = ladder.points.flatMap((point) => {
    const score = scoreOf(ladder, point);
    return score === undefined ? [] : [{ kbps: point.kbps, score }];
  });
  const all = [...shown, ...ladder.rungs];
  const low = Math.floor(Math.log2(Math.min(...all.map((point) => point.kbps))));
  const high = Math.ceil(Math.log2(Math.max(...all.map((point) => point.kbps))));
  const least = Math.min(...all.map((point) => point.score));
  const most = Math.max(...all.map((point) => point.score));
  const step = stepOf(Math.max(1e-6, most - least));
  const [bottom, top] = [Math.floor(least / step) * step, Math.ceil(most / step) * step];
  const innerWidth = panel.width - panel.left - panel.right;
  const innerHeight = panel.height - panel.top - panel.bottom;
  return {
    x: (kbps) => panel.left + ((Math.log2(kbps) - low) / Math.max(1, high - low)) * innerWidth,
    y: (score) => panel.top + (1 - (score - bottom) / Math.max(step, top - bottom)) * innerHeight,
    xTicks: Array.from({ length: high - low + 1 }, (_, index) => 2 ** (low + index)),
    yTicks: Array.from({ length: Math.round((top - bottom) / step) + 1 }, (_, index) => bottom + index * step),
  };
}

function grid(scale: Scale): string[] {
  const right = panel.width - panel.right;
  const base = panel.height - panel.bottom;
  return [
    ...scale.yTicks.map((score) => {
      const y = num(scale.y(score));
      const text = `<text x="${panel.left - 8}" y="${y}" dy="4" text-anchor="end">${num(score)}</text>`;
      return `<line class="grid" x1="${panel.left}" x2="${right}" y1="${y}" y2="${y}"/>${text}`;
    }),
    ...scale.xTicks.map((kbps) => {
      const x = num(scale.x(kbps));
      const text = `<text x="${x}" y="${base + 18}" text-anchor="middle">${Math.round(kbps)}</text>`;
      return `<line class="grid" x1="${x}" x2="${x}" y1="${panel.top}" y2="${base}"/>${text}`;
    }),
  ];
}

function path(points: readonly { kbps: number; score: number }[], scale: Scale): string {
  return points.map(({ kbps, score }) => `${num(scale.x(kbps))},${num(scale.y(score))}`).join(' ');
}

function heightCurves(ladder: CodecLadder, scale: Scale): string[] {
  const heights = [...new Set(ladder.points.map((point) => point.height))].sort((a, b) => b - a);
  return heights.flatMap((height, index) => {
    const colour = colours[index % colours.length] ?? '#333';
    const own = ladder.points
      .flatMap((point) => {
        const score = scoreOf(ladder, point);
        return point.height === height && score !== undefined ? [{ ...point, score }] : [];
      })
      .sort((a, b) => a.kbps - b.kbps);
    const dots = own.map(({ kbps, score, crf }) => {
      const title = `<title>${height}p crf ${crf}: ${Math.round(kbps)} kb/s, ${score.toFixed(2)}</title>`;
      return `<circle cx="${num(scale.x(kbps))}" cy="${num(scale.y(score))}" r="3" fill="${colour}">${title}</circle>`;
    });
    const legendY = panel.top + 14 + index * 18;
    const legendX = panel.width - panel.right + 18;
    const key = `<circle cx="${legendX}" cy="${legendY - 4}" r="4" fill="${colour}"/>`;
    return [
      `<polyline class="curve" stroke="${colour}" points="${path(own, scale)}"/>`,
      ...dots,
      `${key}<text x="${legendX + 10}" y="${legendY}">${height} lines</text>`,
    ];
  });
}

function rungMarks(ladder: CodecLadder, scale: Scale): string[] {
  return ladder.rungs.map(({ id, kbps, score, why }) => {
    const [x, y] = [scale.x(kbps), scale.y(score)];
    const title = `<title>${id}: ${Math.round(kbps)} kb/s, ${score.toFixed(2)}, ${why}</title>`;
    const mark = `<rect class="rung" x="${num(x - 5)}" y="${num(y - 5)}" width="10" height="10">${title}</rect>`;
    return `${mark}<text class="name" x="${num(x + 8)}" y="${num(y + 14)}">${id}</text>`;
  });
}

function codecPanel(ladder: CodecLadder, index: number): string {
  const scale = scaleOf(ladder);
  const scored = ladder.points.flatMap((point) => {
    const score = scoreOf(ladder, point);
    return score === undefined ? [] : [{ ...point, score }];
  });
  const unit = ladder.metric === 'vmaf' ? 'VMAF' : 'SSIM in dB';
  const what = ladder.rungs.length > 0 ? 'trials, their hull and the rungs chosen' : 'all trials and their hull';
  const middle = (panel.left + panel.width - panel.right) / 2;
  const lines = [
    `<text class="head" x="${panel.left}" y="24">${ladder.codec}: ${unit} over kb/s, ${what}</text>`,
    ...grid(scale),
    ...heightCurves(ladder, scale),
    `<polyline class="hull" points="${path(upperHull(scored), scale)}"/>`,
    ...rungMarks(ladder, scale),
    `<text x="${middle}" y="${panel.height - 8}" text-anchor="middle">kb/s (each step doubles)</text>`,
  ];
  return `<g transform="translate(0 ${index * panel.height})">\n${lines.join('\n')}\n</g>`;
}

const style = [
  'text{font:12px system-ui,sans-serif;fill:#222}',
  '.head{font-weight:600}.name{font-size:11px;font-weight:600}',
  '.grid{stroke:#ddd}.curve{fill:none;stroke-width:1;opacity:.6}',
  '.hull{fill:none;stroke:#111;stroke-width:1.5;stroke-dasharray:5 3}',
  '.rung{fill:#fff;stroke:#111;stroke-width:2}',
].join('');

/** A codec's choice; where it was made by VMAF, which few trials have, also the SSIM of all. */
function panelsOf(ladder: CodecLadder): CodecLadder[] {
  return ladder.metric === 'vmaf' ? [ladder, { ...ladder, metric: 'ssim', rungs: [] }] : [ladder];
}

/** A plot of a per-title ladder, a panel or two a codec: stands alone, no scripts, no fonts of its own. */
export function ladderSvg(report: LadderReport): string {
  const panels = report.codecs.flatMap(panelsOf);
  const height = panel.height * panels.length;
  const size = `width="${panel.width}" height="${height}" viewBox="0 0 ${panel.width} ${height}"`;
  const body = panels.map(codecPanel).join('\n');
  const back = `<rect width="${panel.width}" height="${height}" fill="#fff"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">\n<style>${style}</style>\n${back}\n${body}\n</svg>\n`;
}
