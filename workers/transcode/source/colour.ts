import type { DisplaySize } from '../plan/ladder.ts';

/** How the numbers of an SDR picture are to be read, by names that ffmpeg's `setparams` knows. */
export type Colour = {
  readonly matrix: string;
  readonly primaries: string;
  readonly transfer: string;
  /** True for pictures of red, green and blue, which have no matrix of their own. */
  readonly fromRgb: boolean;
};

/** What a stream says of its colours, by ffprobe's names; empty or `unknown` = nothing. */
export interface ColourTags {
  readonly pixelFormat: string;
  readonly colorSpace: string;
  readonly colorPrimaries: string;
  readonly colorTransfer: string;
}

const matrices = new Set(['bt709', 'fcc', 'bt470bg', 'smpte170m', 'smpte240m', 'bt2020nc']);
const primaries = new Set(['bt709', 'bt470m', 'bt470bg', 'smpte170m', 'smpte240m', 'film', 'bt2020', 'smpte432']);
/** By ffprobe's name; curves of HDR are not here, as such pictures are mapped. */
const transfers: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  gamma22: 'bt470m',
  gamma28: 'bt470bg',
  smpte170m: 'smpte170m',
  smpte240m: 'smpte240m',
  linear: 'linear',
  'iec61966-2-1': 'iec61966-2-1',
  'iec61966-2-4': 'iec61966-2-4',
  'bt2020-10': 'bt2020-10',
  'bt2020-12': 'bt2020-12',
};

/** What goes with a matrix where nothing else is said. */
const usual: Readonly<Record<string, readonly [primaries: string, transfer: string]>> = {
  bt709: ['bt709', 'bt709'],
  fcc: ['bt470m', 'bt709'],
  bt470bg: ['bt470bg', 'smpte170m'],
  smpte170m: ['smpte170m', 'smpte170m'],
  smpte240m: ['smpte240m', 'smpte240m'],
  bt2020nc: ['bt2020', 'bt2020-10'],
};

const matrixOfPrimaries: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  bt470bg: 'bt470bg',
  smpte170m: 'smpte170m',
  bt2020: 'bt2020nc',
};

/** What is taken for granted of high definition; also what HDR is mapped to. */
export const highDefinition: Colour = { matrix: 'bt709', primaries: 'bt709', transfer: 'bt709', fromRgb: false };

/** What players take an untagged picture for: BT.709 from HD on, else BT.601 of its number of lines. */
function guessedMatrix({ width, height }: DisplaySize): string {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  if (long >= 1280 || short > 576) return 'bt709';
  return short === 576 ? 'bt470bg' : 'smpte170m';
}

/**
 * The colours of a title: what its source says, and what players would guess at the source's size where it says
 * nothing. Said in every rung, because players guess by size, and would show small rungs in other colours than large ones.
 */
export function colourOf(tags: ColourTags, display: DisplaySize): Colour {
  const known = primaries.has(tags.colorPrimaries) ? tags.colorPrimaries : undefined;
  const fromRgb = tags.colorSpace === 'gbr' || /^(?:pal8|[ax0]?(?:2?rgb|2?bgr)|gbr)/.test(tags.pixelFormat);
  const said = matrices.has(tags.colorSpace) ? tags.colorSpace : matrixOfPrimaries[known ?? ''];
  const matrix = said ?? guessedMatrix(display);
  const [usualPrimaries, usualTransfer] = usual[matrix] ?? ['bt709', 'bt709'];
  const transfer = transfers[tags.colorTransfer] ?? usualTransfer;
  return { matrix, primaries: known ?? usualPrimaries, transfer, fromRgb };
}

/** Option of `scale` that makes the matrix where there is none, and the filter that says what the picture is. */
export function colourFilters(colour: Colour): { readonly scale: string; readonly tag: string } {
  const { matrix, primaries: points, transfer, fromRgb } = colour;
  return {
    scale: fromRgb
      ? `:out_color_matrix=${matrix === 'bt2020nc' ? 'bt2020' : matrix === 'bt470bg' ? 'bt470' : matrix}`
      : '',
    tag: `setparams=range=tv:color_primaries=${points}:color_trc=${transfer}:colorspace=${matrix}`,
  };
}
