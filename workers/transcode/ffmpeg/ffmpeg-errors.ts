/** `[h264 @ 0x55…] [error] text` without the address and the level: the same text on every run. */
export function errorText(line: string): string {
  return line
    .replace(/^\[([^\]@]+) @ 0x[0-9a-f]+\]\s*/, '$1: ')
    .replace(/\[(error|fatal|panic)\]\s*/g, '')
    .replace(/file:\S*\//, '')
    .trim();
}

/** What an H.264/HEVC decoder says about frames before a seek point that refer to frames nobody decoded. */
const missingReference =
  /mmco: unref short|reference picture missing|missing reference picture|co located POCs|frame num gap|number of reference frames|could not find ref with poc|first slice in a coded picture/i;

/** What it also says when reading starts between two keyframes, as it does in MPEG-TS, which has no index. */
const startedMidway =
  /non-existing PPS|non-existing SPS|decode_slice_header error|no frame!|PPS id out of range|sps_id|invalid data/i;

/**
 * True for a line that a clean source gives too when decoding starts in its middle. Pre-roll covers those frames, so
 * they are no fault of the source; only lines of runs that did seek may be excused.
 */
export function isSeekArtefact(line: string, indexed: boolean): boolean {
  return missingReference.test(line) || (!indexed && startedMidway.test(line));
}
