import type { MessageTypes } from '../contract/criteria.ts';
import type { Filter } from '../filter.ts';
import type { LoadedFilter } from './loaded-filter.ts';

/** The message hooks; those with a type are spared other messages also where a trial runs them beside another version. */
export function messageHooksOf(
  definition: Filter<unknown, unknown>,
): Pick<LoadedFilter, 'onRequestMessage' | 'onResponseMessage' | 'onRequestBody'> {
  const { request, response } = definition.messages ?? {};
  const onRequest = definition.onRequestMessage?.bind(definition);
  const onResponse = definition.onResponseMessage?.bind(definition);
  const onBody = definition.onRequestBody?.bind(definition);
  return {
    onRequestMessage:
      onRequest && request
        ? (message, call, ctx) => (call.requestType === request.typeName ? onRequest(message, call, ctx) : undefined)
        : onRequest,
    onResponseMessage:
      onResponse && response
        ? (message, call, ctx) => (call.responseType === response.typeName ? onResponse(message, call, ctx) : undefined)
        : onResponse,
    onRequestBody:
      onBody && request
        ? (messages, call, ctx) => (call.requestType === request.typeName ? onBody(messages, call, ctx) : undefined)
        : onBody,
  };
}

/** The types without which none of its hooks has anything to do; undefined when it has something to do in any call. */
export function typesOnly(definition: Filter<unknown, unknown>): MessageTypes | undefined {
  const { messages, run, onStatus, onEnd, onRequestMessage, onRequestBody, onResponseMessage } = definition;
  if (messages === undefined || run !== undefined || onStatus !== undefined || onEnd !== undefined) return undefined;
  const takesRequests = onRequestMessage !== undefined || onRequestBody !== undefined;
  if (takesRequests && messages.request === undefined) return undefined;
  if (onResponseMessage !== undefined && messages.response === undefined) return undefined;
  return { request: messages.request?.typeName, response: messages.response?.typeName };
}
