import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { FieldViolation } from '../core/errors.ts';

/** What is wrong with the values of `data` that a kind gives a meaning; other values are the producer's own. */
export type DataCheck = (data: JsonObject) => readonly FieldViolation[];

type Values = Readonly<Record<string, ValueCheck>>;
interface ValueCheck {
  readonly isValid: (value: JsonValue) => boolean;
  readonly description: string;
  readonly isRequired?: boolean;
}

const maxGenres = 16;
const maxGenreLength = 64;

function numberFrom(least: number, most: number): ValueCheck {
  return {
    isValid: (value) => typeof value === 'number' && value >= least && value <= most,
    description: `must be a number from ${least} to ${most}`,
  };
}

const genres: ValueCheck = {
  isValid: (value) =>
    Array.isArray(value) &&
    value.length <= maxGenres &&
    value.every((name) => typeof name === 'string' && name !== '' && name.length <= maxGenreLength),
  description: `must be a list of at most ${maxGenres} names of 1 to ${maxGenreLength} characters`,
};

function checkOf(values: Values): DataCheck {
  return (data) =>
    Object.entries(values).flatMap(([name, { isValid, description, isRequired = false }]) => {
      const value = data[name];
      const isFine = value === undefined ? !isRequired : isValid(value);
      return isFine ? [] : [{ field: `data.${name}`, description }];
    });
}

/** `fraction` of the title that was seen, and `genres` of the title; both may be absent. */
export const checkPlayData = checkOf({ fraction: numberFrom(0, 1), genres });

/** `stars` of the rating, and `genres` of the title, which may be absent. */
export const checkRatingData = checkOf({ stars: { ...numberFrom(0.5, 5), isRequired: true }, genres });
