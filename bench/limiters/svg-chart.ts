import { escapeMarkup } from '../../server/core/escape-markup.ts';

/** One curve; values at equal distances. */
export interface Series {
  readonly name: string;
  readonly color: string;
  readonly isDashed: boolean;
  readonly values: readonly number[];
}

/** One diagram of a chart. */
export interface Panel {
  readonly title: string;
  /** Values above are cut. */
  readonly maxY: number;
  readonly series: readonly Series[];
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  /** The x of the last value; the first is at 0. */
  readonly maxX: number;
  readonly panels: readonly Panel[];
}

const [width, panelHeight, left, right, top, gap, bottom] = [860, 210, 56, 16, 40, 44, 80];
const plotWidth = width - left - right;

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x}" y="${y}" ${more}>${escapeMarkup(content)}</text>`;
}

/** Four to eight steps of 1, 2 or 5 times a power of ten. */
function ticks(most: number): number[] {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => most / size <= 8) ?? most;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function curve({ color, isDashed, values }: Series, maxY: number, y0: number): string {
  const step = plotWidth / Math.max(1, values.length - 1);
  const points = values.map((value, index) => {
    const y = y0 + panelHeight * (1 - Math.min(value, maxY) / maxY);
    return `${(left + index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  const dash = isDashed ? ' stroke-dasharray="5 3" opacity="0.75"' : '';
  return `<polyline fill="none" stroke="${color}" stroke-width="1.4"${dash} points="${points.join(' ')}"/>`;
}

function panel({ title, maxY, series }: Panel, y0: number, maxX: number): string[] {
  const rows = ticks(maxY).map((value) => {
    const y = (y0 + panelHeight * (1 - value / maxY)).toFixed(1);
    const line = `<path d="M${left} ${y}h${plotWidth}" stroke="#d8dee4"/>`;
    return line + text(left - 6, Number(y) + 4, short(value), 'text-anchor="end"');
  });
  const columns = ticks(maxX).map((value) => {
    const x = (left + (plotWidth * value) / maxX).toFixed(1);
    return text(Number(x), y0 + panelHeight + 14, short(value), 'text-anchor="middle"');
  });
  return [
    text(left, y0 - 7, title, 'font-weight="bold"'),
    ...rows,
    ...columns,
    ...series.map((one) => curve(one, maxY, y0)),
  ];
}

function legend(series: readonly Series[], y: number): string[] {
  const slot = plotWidth / series.length;
  return series.map(({ name, color, isDashed }, index) => {
    const x = left + index * slot;
    const dash = isDashed ? ' stroke-dasharray="5 3" opacity="0.75"' : '';
    return `<path d="M${x.toFixed(1)} ${y - 4}h16" stroke="${color}" stroke-width="2"${dash}/>${text(x + 20, y, name, 'font-size="10"')}`;
  });
}

/** The chart as an SVG file: panels below each other, the legend of the first one at the foot. */
export function renderChart({ title, xTitle, maxX, panels }: Chart): string {
  const height = top + panels.length * (panelHeight + gap) + bottom - gap;
  const bodies = panels.flatMap((one, index) => panel(one, top + index * (panelHeight + gap) + 10, maxX));
  const foot = [
    text(left + plotWidth / 2, height - 36, xTitle, 'text-anchor="middle"'),
    ...legend(panels[0]?.series ?? [], height - 10),
  ];
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif"`;
  const back = `<rect width="${width}" height="${height}" fill="#fff"/>`;
  const head = text(width / 2, 22, title, 'text-anchor="middle" font-size="15" font-weight="bold"');
  return [`${open} font-size="11" fill="#24292f">`, back, head, ...bodies, ...foot, '</svg>', ''].join('\n');
}
