import { type DescEnum, type DescExtension, type DescFile, type DescMessage, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

/** Everything that can be asked of a set of proto files: by file name, by symbol, by extension. */
export interface DescriptorIndex {
  findFile(name: string): DescFile | undefined;
  /** Message, field, oneof, enum, enum value, service, method or extension, by full name. */
  findFileOfSymbol(name: string): DescFile | undefined;
  findFileOfExtension(typeName: string, number: number): DescFile | undefined;
  /** Undefined for an unknown message; empty when nothing extends it. */
  findExtensionNumbers(typeName: string): number[] | undefined;
  /** The file as FileDescriptorProto, options included. */
  encode(file: DescFile): Uint8Array;
}

/** Indexes the given files and all their imports. */
export function createDescriptorIndex(roots: readonly DescFile[]): DescriptorIndex {
  const files = new Map<string, DescFile>();
  for (const root of roots) addFile(files, root);
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const file of files.values()) {
    for (const name of symbolsOf(file)) symbols.set(name, file);
    for (const extension of extensionsOf(file)) {
      const { typeName } = extension.extendee;
      const ofType = extensions.get(typeName) ?? new Map<number, DescFile>();
      extensions.set(typeName, ofType.set(extension.number, file));
    }
  }
  const encoded = new Map<DescFile, Uint8Array>();
  return {
    findFile: (name) => files.get(name),
    findFileOfSymbol: (name) => symbols.get(name),
    findFileOfExtension: (typeName, number) => extensions.get(typeName)?.get(number),
    findExtensionNumbers: (typeName) => {
      const numbers = extensions.get(typeName);
      if (numbers === undefined) return symbols.has(typeName) ? [] : undefined;
      return [...numbers.keys()].sort((a, b) => a - b);
    },
    encode: (file) => {
      const bytes = encoded.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
      encoded.set(file, bytes);
      return bytes;
    },
  };
}

function addFile(files: Map<string, DescFile>, file: DescFile): void {
  if (files.has(file.proto.name)) return;
  files.set(file.proto.name, file);
  for (const dependency of file.dependencies) addFile(files, dependency);
}

function* symbolsOf(file: DescFile): Generator<string> {
  for (const service of file.services) {
    yield service.typeName;
    for (const method of service.methods) yield `${service.typeName}.${method.name}`;
  }
  for (const enumeration of file.enums) yield* enumSymbols(enumeration);
  for (const message of file.messages) yield* messageSymbols(message);
  for (const extension of extensionsOf(file)) yield extension.typeName;
}

function* enumSymbols(enumeration: DescEnum): Generator<string> {
  yield enumeration.typeName;
  // Enum values live in the scope around their enum.
  const scope = enumeration.typeName.slice(0, -enumeration.name.length);
  for (const value of enumeration.values) yield `${scope}${value.name}`;
}

function* messageSymbols(message: DescMessage): Generator<string> {
  yield message.typeName;
  for (const field of message.fields) yield `${message.typeName}.${field.name}`;
  for (const oneof of message.oneofs) yield `${message.typeName}.${oneof.name}`;
  for (const enumeration of message.nestedEnums) yield* enumSymbols(enumeration);
  for (const nested of message.nestedMessages) yield* messageSymbols(nested);
}

function* extensionsOf(scope: DescFile | DescMessage): Generator<DescExtension> {
  yield* scope.kind === 'file' ? scope.extensions : scope.nestedExtensions;
  for (const message of scope.kind === 'file' ? scope.messages : scope.nestedMessages) yield* extensionsOf(message);
}
