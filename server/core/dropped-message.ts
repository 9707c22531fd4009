/**
 * What a message hook gives for a message of a stream that is to go no further: neither later filters nor the other
 * side see it. A single request or response cannot be dropped.
 */
export const droppedMessage: unique symbol = Symbol('dropped message');
