import { schema } from '../engine/filter.ts';
import { isAddress } from './endpoint.ts';

/** Parts of the configuration that the filters around origins share. */

/** `host:port`, or `grpcs://host:port` with TLS. */
export const originAddress = schema.where(schema.text(3, 300), (address, fault) => {
  if (!isAddress(address)) fault('', `${JSON.stringify(address)} is no host:port or grpcs://host:port`);
});

const base64Form = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Encoded messages in base64; an empty text is the empty message. */
export const encodedMessages = schema.list(
  schema.where(schema.text(0, 1_000_000), (text, fault) => {
    if (!base64Form.test(text)) fault('', 'expected base64');
  }),
  100,
);

/** Bytes of `encodedMessages`. */
export function bytesOf(messages: readonly string[]): readonly Uint8Array[] {
  return messages.map((text) => new Uint8Array(Buffer.from(text, 'base64')));
}

const keyForm = /^[0-9a-z_.-]+$/i;
const valueForm = /^[ -~]*$/;

/** Metadata to send: text by key. */
export const sentMetadata = schema.where(schema.table(schema.text(0, 4096), 50), (table, fault) => {
  for (const [key, value] of table) {
    if (!keyForm.test(key) || /^grpc-|-bin$/i.test(key))
      fault(key, 'a key has letters, digits, "_", "-", "." and is of text');
    else if (!valueForm.test(value)) fault(key, 'expected printable ASCII');
  }
});

/** Globs on paths: at least one. */
export const someGlobs = schema.where(schema.list(schema.text(1, 256), 100), (globs, fault) => {
  if (globs.length === 0) fault('', 'expected at least one');
});
