import { escapeMarkup } from '../../server/core/escape-markup.ts';

/** One assertion: a cell tagged `test`, a golden output, or the notebook as a whole. */
export interface TestCase {
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'error' | 'skipped';
  readonly durationMs: number;
  /** Why it did not pass; one line. */
  readonly message: string;
  /** Traceback or difference. */
  readonly detail: string;
}

/** The cases of one notebook. */
export interface TestSuite {
  readonly path: string;
  readonly durationMs: number;
  readonly cases: readonly TestCase[];
}

/** The report in the XML that test dashboards read. Source: https://github.com/testmoapp/junitxml */
export function formatJunit(suites: readonly TestSuite[]): string {
  const all = suites.flatMap(({ cases }) => cases);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${counts(all)} time="${seconds(suites.reduce((sum, suite) => sum + suite.durationMs, 0))}">`,
    ...suites.flatMap((suite) => [
      `  <testsuite name="${escapeXml(suite.path)}"${counts(suite.cases)} time="${seconds(suite.durationMs)}">`,
      ...suite.cases.map((testCase) => formatCase(suite.path, testCase)),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n');
}

function formatCase(path: string, { name, status, durationMs, message, detail }: TestCase): string {
  const head = `    <testcase name="${escapeXml(name)}" classname="${escapeXml(path)}" time="${seconds(durationMs)}"`;
  if (status === 'passed') return `${head}/>`;
  const tag = status === 'failed' ? 'failure' : status;
  return `${head}><${tag} message="${escapeXml(message)}">${escapeXml(detail)}</${tag}></testcase>`;
}

function counts(cases: readonly TestCase[]): string {
  const count = (status: TestCase['status']) => cases.filter((testCase) => testCase.status === status).length;
  return ` tests="${cases.length}" failures="${count('failed')}" errors="${count('error')}" skipped="${count('skipped')}"`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** Line breaks as entities: a reader of XML makes spaces of those in attributes. */
function escapeXml(text: string): string {
  return escapeMarkup(text).replaceAll('\n', '&#10;');
}
