import type { Answer, Call, CallSession, StaticAnswer, StreamAnswer } from '../../../server/core/call.ts';
import { droppedMessage } from '../../../server/core/dropped-message.ts';
import { bodyTooLarge } from '../filter-errors.ts';
import type { Chain, Slot } from '../set/snapshot.ts';
import type { ChainRun } from './chain-run.ts';
import { bodyPhase } from './phase.ts';

/** Bytes of text and binary content, with 8 for any other value: what a message holds in memory, roughly. */
function contentBytes(value: unknown, depth = 0): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || depth > 100) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let bytes = 8;
  for (const inner of Object.values(value)) bytes += contentBytes(inner, depth + 1);
  return bytes;
}

async function* replay(held: readonly unknown[]): AsyncGenerator<unknown, undefined> {
  yield* held;
}

/** The request messages of one call as the message hooks left them. */
class RequestBody {
  readonly #call: Call;
  readonly #chain: Chain;
  readonly #run: ChainRun;
  readonly #seen: unknown[] = [];
  /** The filter with the tightest bound, while messages are held. */
  #bound: Slot | undefined;
  #bytes = 0;

  constructor(call: Call, chain: Chain, run: ChainRun) {
    this.#call = call;
    this.#chain = chain;
    this.#run = run;
  }

  keep(message: unknown): unknown {
    if (this.#bound === undefined || message === droppedMessage) return message;
    const { id, maxBodyBytes } = this.#bound.filter;
    this.#bytes += contentBytes(message);
    if (this.#bytes > maxBodyBytes) throw bodyTooLarge(id, maxBodyBytes);
    this.#seen.push(message);
    return message;
  }

  /** What takes the place of `answer` (none: the endpoint) when a filter that applies needs the body. */
  before(answer: Answer | undefined): Answer | undefined {
    if (answer === undefined ? !this.#call.known : 'messages' in answer) return answer;
    const slots = this.#chain.body.filter((slot) => this.#run.takesPart(slot, false));
    if (slots.length === 0) return answer;
    this.#bound = slots.toSorted((a, b) => a.filter.maxBodyBytes - b.filter.maxBodyBytes)[0];
    const then = answer as StreamAnswer | undefined;
    const respond: StreamAnswer['respond'] = (requests, exchange) => this.#respond(requests, exchange, then);
    return { encoding: then?.encoding ?? 'message', respond };
  }

  async *#respond(
    requests: AsyncIterable<unknown>,
    exchange: Parameters<StreamAnswer['respond']>[1],
    then: StreamAnswer | undefined,
  ): AsyncGenerator<unknown, undefined> {
    const held: unknown[] = [];
    for await (const request of requests) held.push(request);
    this.#bound = undefined;
    const phase = bodyPhase(Object.freeze(this.#seen));
    const given = (await this.#run.advance(phase, this.#chain.body, 0, undefined)) as StaticAnswer | undefined;
    if (given !== undefined) yield* given.messages;
    else if (then !== undefined) yield* then.respond(replay(held), exchange);
    // A method with a handler has a local endpoint.
    else if (exchange.local !== undefined) yield* exchange.local(replay(held));
  }
}

/** Gives the session of a chain with body filters the hooks that hold the request for them. */
export function holdRequestBody(session: CallSession, call: Call, chain: Chain, run: ChainRun): void {
  const body = new RequestBody(call, chain, run);
  const inbound = session.inbound?.bind(session);
  const requestMessage = session.requestMessage?.bind(session);
  session.inbound = () => {
    const answer = inbound?.();
    return answer instanceof Promise ? answer.then((given) => body.before(given)) : body.before(answer);
  };
  session.requestMessage = (message) => {
    const seen = requestMessage === undefined ? message : requestMessage(message);
    return seen instanceof Promise ? seen.then((given) => body.keep(given)) : body.keep(seen);
  };
}
