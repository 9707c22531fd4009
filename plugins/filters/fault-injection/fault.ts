import { Code, codeName } from '../../engine/filter.ts';

/** What is done to a call. */
export interface Fault {
  /** Code that the call is refused with, or ended with after `abortAfter` messages. */
  readonly abort?: Code | undefined;
  /** Response messages that pass before the abort; absent = the call is refused before its handler. */
  readonly abortAfter?: number | undefined;
  /** Wait before the handler, ms. */
  readonly delayMs?: number | undefined;
  /** Most messages per second, in each direction. */
  readonly messagesPerSecond?: number | undefined;
  /** Share of the request messages of a stream that never arrive, 0-100. */
  readonly dropRequests?: number | undefined;
  /** Share of the response messages of a stream that never arrive, 0-100. */
  readonly dropResponses?: number | undefined;
  /** Messages, both directions together, after which the next one resets the stream. */
  readonly resetAfter?: number | undefined;
  /** Up to so many more messages, drawn per call, pass before the reset. */
  readonly resetSpread?: number | undefined;
}

/** Longest delay that may be set. */
export const maxDelayMs = 60_000;
/** Most response messages before an abort. */
export const maxAbortAfter = 1_000_000;
/** Most messages before a reset, and most of its spread. */
export const maxMessagesBeforeReset = 1_000_000;
/** Least and greatest rate of messages, per second. */
export const messageRates = [0.1, 100_000] as const;

const codes = new Map<string, Code>(Object.values(Code).map((code) => [codeName(code), code]));
codes.delete('OK');

/** Names of the codes that a call can be aborted with. */
export const abortCodes: readonly string[] = [...codes.keys()];

/** The code of that name; undefined for OK and for names of none. */
export function findCode(name: string): Code | undefined {
  return codes.get(name);
}

function numberIn(text: string, least: number, most: number): number | undefined {
  const value = Number(text);
  return text.trim() !== '' && value >= least && value <= most ? value : undefined;
}

/** Reads one number of a fault, by its name in the header. */
function numberReader(field: keyof Fault, least: number, most: number): (text: string) => Fault | undefined {
  return (text) => {
    const value = numberIn(text, least, most);
    return value === undefined ? undefined : { [field]: value };
  };
}

const readers: Readonly<Record<string, (text: string) => Fault | undefined>> = {
  abort: (text) => {
    const abort = findCode(text);
    return abort === undefined ? undefined : { abort };
  },
  after: numberReader('abortAfter', 1, maxAbortAfter),
  delay: numberReader('delayMs', 1, maxDelayMs),
  rate: numberReader('messagesPerSecond', ...messageRates),
  'drop-requests': numberReader('dropRequests', 0, 100),
  'drop-responses': numberReader('dropResponses', 0, 100),
  reset: numberReader('resetAfter', 0, maxMessagesBeforeReset),
  spread: numberReader('resetSpread', 0, maxMessagesBeforeReset),
};

/** What is wrong with a fault as a whole; undefined when nothing is. */
export function wrongIn(fault: Fault): string | undefined {
  if (fault.abortAfter !== undefined && fault.abort === undefined) return 'abortAfter needs abort';
  if (fault.resetSpread !== undefined && fault.resetAfter === undefined) return 'resetSpread needs resetAfter';
  if (fault.resetAfter !== undefined && fault.abortAfter !== undefined) return 'resetAfter goes without abortAfter';
  return undefined;
}

/**
 * Reads `abort=UNAVAILABLE;after=2;delay=100;rate=5;drop-requests=10;drop-responses=10` or `reset=5;spread=3` (any of
 * them); undefined for anything else.
 */
export function parseFault(header: string): Fault | undefined {
  let fault: Fault = {};
  for (const part of header.split(';')) {
    const [name = '', value = ''] = part.trim().split('=', 2);
    const read = Object.hasOwn(readers, name) ? readers[name]?.(value) : undefined;
    if (read === undefined) return undefined;
    fault = { ...fault, ...read };
  }
  return wrongIn(fault) === undefined ? fault : undefined;
}
