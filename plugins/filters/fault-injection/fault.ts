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
}

export const maxDelayMs = 60_000;
export const maxAbortAfter = 1_000_000;
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

const readers: Readonly<Record<string, (text: string) => Fault | undefined>> = {
  abort: (text) => {
    const abort = findCode(text);
    return abort === undefined ? undefined : { abort };
  },
  after: (text) => {
    const abortAfter = numberIn(text, 1, maxAbortAfter);
    return abortAfter === undefined ? undefined : { abortAfter };
  },
  delay: (text) => {
    const delayMs = numberIn(text, 1, maxDelayMs);
    return delayMs === undefined ? undefined : { delayMs };
  },
  rate: (text) => {
    const messagesPerSecond = numberIn(text, ...messageRates);
    return messagesPerSecond === undefined ? undefined : { messagesPerSecond };
  },
};

/** Reads `abort=UNAVAILABLE;after=2;delay=100;rate=5` (any of them); undefined for anything else. */
export function parseFault(header: string): Fault | undefined {
  let fault: Fault = {};
  for (const part of header.split(';')) {
    const [name = '', value = ''] = part.trim().split('=', 2);
    const read = Object.hasOwn(readers, name) ? readers[name]?.(value) : undefined;
    if (read === undefined) return undefined;
    fault = { ...fault, ...read };
  }
  return fault.abortAfter !== undefined && fault.abort === undefined ? undefined : fault;
}
