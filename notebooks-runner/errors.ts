import { Code } from '../server/core/codes.ts';
import { AppError, type FieldViolation, messageOf } from '../server/core/errors.ts';

/** The document is not a notebook we can run; `field` is the path of the fault, e.g. `cells[3].outputs[0]`. */
export function notebookInvalid(field: string, description: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'NOTEBOOK_INVALID',
    message: field === '' ? `notebook: ${description}` : `notebook ${field}: ${description}`,
    metadata: { field },
    // A fault of the whole document is in no field of it.
    fields: field === '' ? [] : [{ field, description }],
  });
}

/** The notebook file does not exist or cannot be read. */
export function notebookUnreadable(path: string, cause: unknown): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'NOTEBOOK_NOT_FOUND',
    message: `notebook "${path}" cannot be read`,
    metadata: { path },
    cause,
  });
}

/** Parameters that the notebook does not take; every fault is named. */
export function parametersInvalid(fields: readonly FieldViolation[]): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'NOTEBOOK_PARAMETERS_INVALID',
    message: fields.map((fault) => `${fault.field}: ${fault.description}`).join('; '),
    fields,
  });
}

/** Parameters were given for a language into which we cannot render values. */
export function languageUnsupported(language: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'NOTEBOOK_LANGUAGE_UNSUPPORTED',
    message: `parameters cannot be rendered for the language "${language}"; supported: TypeScript, JavaScript, Python, R, Scala, Julia, Matlab, C#, F#, PowerShell, Bash`,
    metadata: { language },
  });
}

/** Output and source are the same file: the run would overwrite its own source. */
export function outputIsSource(path: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'NOTEBOOK_OUTPUT_IS_SOURCE',
    message: `output "${path}" is the source notebook itself; the source is never changed`,
    metadata: { path },
    fields: [{ field: 'outputPath', description: 'must not be the source notebook' }],
  });
}

/** The output path cannot be written. */
export function outputUnwritable(path: string, cause: unknown): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTEBOOK_OUTPUT_UNWRITABLE',
    message: `output notebook "${path}" cannot be written: ${messageOf(cause)}`,
    metadata: { path },
    cause,
  });
}

/** No kernel of that name is installed; `remedy` says what to do. */
export function kernelMissing(name: string, remedy: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'KERNEL_MISSING',
    message: `no kernel "${name}": ${remedy}`,
    metadata: { kernel: name },
  });
}

/** A kernel.json that cannot be used. */
export function kernelspecInvalid(path: string, description: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'KERNELSPEC_INVALID',
    message: `kernelspec "${path}": ${description}`,
    metadata: { path },
  });
}

/** The kernel process ended or stayed silent before it was ready; a later try may succeed. */
export function kernelStartFailed(name: string, description: string, cause?: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'KERNEL_START_FAILED',
    message: `kernel "${name}" did not start: ${description}`,
    metadata: { kernel: name },
    cause,
  });
}

/** A parameter names a secret that the runner does not have or may not hand out. */
export function secretMissing(name: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTEBOOK_SECRET_MISSING',
    message: `secret "${name}" is not there or not allowed here`,
    metadata: { secret: name },
  });
}

/** A secret so short that redacting it would redact ordinary text, too. */
export function secretTooShort(name: string, minLength: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTEBOOK_SECRET_TOO_SHORT',
    message: `secret "${name}" has fewer than ${minLength} characters`,
    metadata: { secret: name, min_length: String(minLength) },
  });
}

/** The cells to run are named in a way that selects nothing, or names a cell that is not there. */
export function selectionInvalid(field: string, description: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'NOTEBOOK_SELECTION_INVALID',
    message: `${field}: ${description}`,
    fields: [{ field, description }],
  });
}

/** Another run writes to the same output notebook. */
export function outputInUse(path: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTEBOOK_OUTPUT_IN_USE',
    message: `another run writes to "${path}"`,
    metadata: { path },
  });
}
