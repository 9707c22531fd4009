import { escapeMarkup } from '../../../server/core/escape-markup.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { rationalText, toNumber } from '../rational.ts';
import type { VerificationReport } from './verify-title.ts';

type Cell = string | number;

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = (tag: 'td' | 'th', row: readonly Cell[]) =>
    row.map((cell) => `<${tag}>${escapeMarkup(String(cell))}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('\n');
  return `<table>\n<thead><tr>${cells('th', head)}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table>`;
}

const style = [
  'body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}',
  'table{border-collapse:collapse;width:100%;margin:1rem 0}',
  'th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}',
  '.ok{color:#176b2c}.failed{color:#a11}',
  '@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.ok{color:#7d7}.failed{color:#f88}}',
].join('\n');

const kbps = (bps: number) => `${(bps / 1000).toFixed(0)} kb/s`;

/** What a page needs to know beside the checks. */
export interface VerificationPage {
  readonly title: string;
  readonly version: string;
  readonly plan: TranscodePlan;
  readonly verification: VerificationReport;
}

/**
 * The verification of a title version for people: one HTML page without scripts or anything from elsewhere. The same
 * version gives the same bytes.
 */
export function verificationPage({ title, version, plan, verification }: VerificationPage): string {
  const name = escapeMarkup(`${title} ${version}`);
  const seconds = (plan.frameCount / toNumber(plan.rate)).toFixed(3);
  const { ok, checks, tracks, warnings } = verification;
  const { heldFrames: held, colour } = plan.video;
  const { matrix, primaries, transfer } = colour;
  const outcome = ok ? '<p class="ok">Every check held.</p>' : '<p class="failed">A check failed.</p>';
  const facts: (readonly Cell[])[] = [
    ['frames', held > 0 ? `${plan.frameCount}, the last picture held for ${held} of them` : plan.frameCount],
    ['frame rate', rationalText(plan.rate)],
    ['seconds', seconds],
    ['colours', `${matrix}, ${primaries}, ${transfer}`],
    ['segments', plan.segments.length],
    ['chunks', plan.chunks.length],
    ['source SHA-256', plan.source.sha256],
    ['encoder build', plan.encoderBuild],
  ];
  const measured = tracks.map((track) => [
    ...[track.id, track.samples, track.segments, kbps(track.windowPeakBps), kbps(track.declaredPeakBps)],
  ]);
  return [
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>Verification of ${name}</title>\n<style>\n${style}\n</style>\n</head>\n<body>`,
    `<h1>Verification of ${name}</h1>\n${outcome}`,
    ...(warnings.length === 0
      ? []
      : [`<h2>Warnings</h2>\n<ul>\n${warnings.map((each) => `<li>${escapeMarkup(each)}</li>`).join('\n')}\n</ul>`]),
    `<h2>Checks</h2>\n${table(
      ['check', 'outcome', 'found'],
      checks.map((check) => [check.name, check.ok ? 'ok' : 'failed', check.detail]),
    )}`,
    `<h2>Tracks</h2>\n${table(['track', 'samples', 'segments', 'highest window', 'declared peak'], measured)}`,
    `<h2>Title</h2>\n${table(['what', 'value'], facts)}`,
    '</body>\n</html>\n',
  ].join('\n');
}
