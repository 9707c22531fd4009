import { stripTypeScriptTypes } from 'node:module';
import type { CellError } from './run-record.ts';

/**
 * The Deno kernel answers a cell that cannot be parsed with "Execution failed" only. This parses it again to say what
 * is wrong and where; undefined when the parser finds nothing.
 */
export function describeSyntaxError(source: string): CellError | undefined {
  try {
    stripTypeScriptTypes(source, { mode: 'transform', sourceUrl: 'cell.ts' });
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) return undefined;
    const head = (error.stack ?? '').split('\nSyntaxError')[0]?.trimEnd() ?? '';
    const line = /^cell\.ts:(\d+)$/m.exec(head)?.[1];
    const column = /^( *)\^/m.exec(head.split('\n').slice(1).join('\n'))?.[1]?.length;
    const where = line === undefined ? '' : ` (line ${line}${column === undefined ? '' : `, column ${column + 1}`})`;
    const evalue = `${error.message}${where}`;
    const frame = line === undefined ? [] : head.split('\n').slice(1);
    return { ename: 'SyntaxError', evalue, traceback: [`SyntaxError: ${evalue}`, ...frame] };
  }
}

/** True for the answer that the Deno kernel gives instead of a syntax error. */
export function isUnexplainedFailure(error: CellError): boolean {
  return error.evalue === 'Execution failed' && error.traceback.length === 0;
}
