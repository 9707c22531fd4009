import type { CallOutcome } from '../../../server/core/call.ts';
import { type CallRecord, lineOf } from '../call/call-record.ts';
import type { FilteredOutcome } from '../filter.ts';

/** How a call ended, as end hooks see it. The account of the filters is made when it is first asked for. */
export class EndedCall implements FilteredOutcome {
  readonly code: FilteredOutcome['code'];
  readonly error: FilteredOutcome['error'];
  readonly durationMs: number;
  readonly requestMessages: number;
  readonly responseMessages: number;
  readonly #record: CallRecord;
  readonly #serial: number;
  #line: string | undefined;

  constructor(outcome: CallOutcome, record: CallRecord) {
    this.code = outcome.code;
    this.error = outcome.error;
    this.durationMs = outcome.durationMs;
    this.requestMessages = outcome.requestMessages;
    this.responseMessages = outcome.responseMessages;
    this.#record = record;
    this.#serial = record.serial;
  }

  filterLine(): string {
    // Records are reused: one who kept the outcome for long and asks late must not read another call's account.
    if (this.#line === undefined) this.#line = this.#record.serial === this.#serial ? lineOf(this.#record) : '';
    return this.#line;
  }

  filterNs(): number {
    if (this.#record.serial !== this.#serial) return 0;
    const { ns, account } = this.#record;
    let sum = 0;
    for (let index = 0; index < account.size; index++) sum += ns[index] ?? 0;
    return Math.round(sum);
  }
}
