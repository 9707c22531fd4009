import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import type { droppedMessage } from '../../../server/core/dropped-message.ts';

/** What a message hook sees: messages of the schema that the filter declares, of any type when it declares none. */
export type SeenMessage<Desc extends DescMessage> = DescMessage extends Desc ? unknown : MessageShape<Desc>;

// biome-ignore lint/suspicious/noConfusingVoidType: a hook that keeps the message returns nothing
type Result<Desc extends DescMessage> = MessageShape<Desc> | typeof droppedMessage | undefined | void;

/** What a message hook gives: nothing keeps the message, another one replaces it, `droppedMessage` drops it. */
export type HookResult<Desc extends DescMessage> = DescMessage extends Desc
  ? unknown
  : Result<Desc> | Promise<Result<Desc>>;

/** Schemas of generated code that type the message hooks of a filter. */
export interface FilterMessages<Req extends DescMessage, Res extends DescMessage> {
  /** `onRequestMessage` and `onRequestBody` run for methods with these requests only. */
  readonly request?: Req;
  /** `onResponseMessage` runs for methods with these responses only. */
  readonly response?: Res;
}
