import { messageOf } from '../../core/errors.ts';
import { type RatingRow, ratingFault } from './ratings-table.ts';
import { type Title, titleFault } from './title.ts';

/** A line that could not be read; `line` counts from 1, header included. */
export interface LineFault {
  readonly line: number;
  readonly description: string;
}

/** Rows in file order and the faulty lines beside them: one bad line never hides the good ones. */
export interface ParsedCsv<T> {
  readonly rows: readonly T[];
  /** The first 100. */
  readonly faults: readonly LineFault[];
  /** All of them. */
  readonly faultCount: number;
}

const mostFaultsKept = 100;
const noGenres = '(no genres listed)';

/** Reads MovieLens `ratings.csv` (userId,movieId,rating,timestamp in seconds). */
export function parseRatingsCsv(text: string): ParsedCsv<RatingRow> {
  return parseCsv(text, 'userId,movieId,rating,timestamp', ([profile = '', title = '', value = '', time = '']) => {
    const row = { profile, title, value: numberOf(value), timeMs: numberOf(time) * 1000 };
    const fault = ratingFault(row);
    if (fault !== undefined) throw new Error(fault);
    return row;
  });
}

/** Reads MovieLens `movies.csv` (movieId,title,genres; genres separated by `|`, fields quoted where needed). */
export function parseTitlesCsv(text: string): ParsedCsv<Title> {
  return parseCsv(text, 'movieId,title,genres', ([id = '', name = '', genres = '']) => {
    const title = { id, name: name.trim(), genres: genres === noGenres || genres === '' ? [] : genres.split('|') };
    const fault = titleFault(title);
    if (fault !== undefined) throw new Error(fault);
    return title;
  });
}

function parseCsv<T>(text: string, header: string, read: (fields: readonly string[]) => T): ParsedCsv<T> {
  const fieldCount = header.split(',').length;
  const rows: T[] = [];
  const faults: LineFault[] = [];
  let faultCount = 0;
  const report = (line: number, description: string) => {
    faultCount += 1;
    if (faults.length < mostFaultsKept) faults.push({ line, description });
  };
  let line = 0;
  for (const source of linesOf(text)) {
    line += 1;
    if (line === 1) {
      if (source.replace(/^\uFEFF/, '') !== header) report(1, `expected the header ${header}`);
      continue;
    }
    if (source === '') continue;
    try {
      const fields = splitCsvLine(source);
      if (fields.length !== fieldCount) throw new Error(`expected ${fieldCount} fields, got ${fields.length}`);
      rows.push(read(fields));
    } catch (error) {
      report(line, messageOf(error));
    }
  }
  if (line === 0) report(1, `expected the header ${header}, got an empty file`);
  return { rows, faults, faultCount };
}

function* linesOf(text: string): Iterable<string> {
  for (let start = 0; start < text.length; ) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    yield text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    start = end + 1;
  }
}

/** RFC 4180 fields of one line; a quoted field cannot hold a line break. Throws on an open quote. */
function splitCsvLine(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let field = '';
      for (at += 1; ; at += 2) {
        const quote = line.indexOf('"', at);
        if (quote < 0) throw new Error('a quoted field has no end');
        field += line.slice(at, quote);
        at = quote;
        if (line[at + 1] !== '"') break;
        field += '"';
      }
      at += 1;
      if (at < line.length && line[at] !== ',') throw new Error('text after a quoted field');
      fields.push(field);
    } else {
      const comma = line.indexOf(',', at);
      const end = comma < 0 ? line.length : comma;
      fields.push(line.slice(at, end));
      at = end;
    }
    if (at >= line.length) return fields;
    at += 1;
  }
}

/** NaN for anything but a plain decimal number. */
function numberOf(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}
