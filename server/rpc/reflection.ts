import type { DescFile, DescService } from '@bufbuild/protobuf';
import { file_google_rpc_error_details } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { ServerReflection } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Code } from '../core/codes.ts';
import { createDescriptorIndex, type DescriptorIndex } from './descriptor-index.ts';
import { type ServiceRegistration, serviceOf } from './handler.ts';

/** A reflection request of either version. */
interface ReflectionRequest {
  readonly messageRequest:
    | { readonly case: 'fileByFilename' | 'fileContainingSymbol'; readonly value: string }
    | { readonly case: 'allExtensionNumbersOfType' | 'listServices'; readonly value: string }
    | {
        readonly case: 'fileContainingExtension';
        readonly value: { readonly containingType: string; readonly extensionNumber: number };
      }
    | { readonly case: undefined };
}

/**
 * gRPC server reflection v1 and v1alpha over the given services and itself. Own, because the npm package
 * re-encodes descriptors and loses custom options. Failures are answered in-band (ErrorResponse) and the
 * stream goes on: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
export function reflectionServices(services: readonly DescService[]): ServiceRegistration[] {
  const listed = [...services, ServerReflection, ServerReflectionAlpha];
  // Callers print the details of errors with the types that they find here.
  const index = createDescriptorIndex([...listed.map(({ file }) => file), file_google_rpc_error_details]);
  const names = listed.map(({ typeName }) => typeName).sort();
  const openStream = () => createReflectionStream(index, names);
  return [
    serviceOf(ServerReflection, {
      async *serverReflectionInfo(requests) {
        const answer = openStream();
        for await (const request of requests) {
          yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
        }
      },
    }),
    serviceOf(ServerReflectionAlpha, {
      async *serverReflectionInfo(requests) {
        const answer = openStream();
        for await (const request of requests) {
          yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
        }
      },
    }),
  ];
}

function createReflectionStream(index: DescriptorIndex, names: readonly string[]) {
  const sent = new Set<DescFile>();

  function answerFile(file: DescFile | undefined, asked: string) {
    if (file === undefined) return refuse(Code.NOT_FOUND, `${asked} is not known to this server`);
    const files = [file, ...importsOf(file).filter((imported) => !sent.has(imported))];
    for (const each of files) sent.add(each);
    const fileDescriptorProto = files.map((each) => index.encode(each));
    return { case: 'fileDescriptorResponse' as const, value: { fileDescriptorProto } };
  }

  function answerExtensionNumbers(typeName: string) {
    const extensionNumber = index.findExtensionNumbers(typeName);
    if (extensionNumber === undefined) return refuse(Code.NOT_FOUND, `type ${typeName} is not known to this server`);
    return { case: 'allExtensionNumbersResponse' as const, value: { baseTypeName: typeName, extensionNumber } };
  }

  return ({ messageRequest: asked }: ReflectionRequest) => {
    switch (asked.case) {
      case 'fileByFilename':
        return answerFile(index.findFile(asked.value), `file ${asked.value}`);
      case 'fileContainingSymbol':
        return answerFile(index.findFileOfSymbol(asked.value), `symbol ${asked.value}`);
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = asked.value;
        const file = index.findFileOfExtension(containingType, extensionNumber);
        return answerFile(file, `extension ${extensionNumber} of ${containingType}`);
      }
      case 'allExtensionNumbersOfType':
        return answerExtensionNumbers(asked.value);
      case 'listServices':
        return { case: 'listServicesResponse' as const, value: { service: names.map((name) => ({ name })) } };
      case undefined:
        return refuse(Code.INVALID_ARGUMENT, 'message_request is missing');
    }
  };
}

function refuse(errorCode: Code, errorMessage: string) {
  return { case: 'errorResponse' as const, value: { errorCode, errorMessage } };
}

/** All direct and indirect imports, each once, without the file itself. */
function importsOf(file: DescFile): DescFile[] {
  const found = new Set<DescFile>();
  const visit = (each: DescFile) => {
    for (const dependency of each.dependencies) {
      if (found.has(dependency)) continue;
      found.add(dependency);
      visit(dependency);
    }
  };
  visit(file);
  return [...found];
}
