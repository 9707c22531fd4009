import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { defaultSourceLimits } from '../../workers/transcode/source/source-probe.ts';
import type { TranscodeDeps } from '../../workers/transcode/transcode-deps.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { clipPath, createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=3', ...sourceCodec];
const faststart = () => makeSource('faststart.mp4', [...picture, '-movflags', '+faststart']);

/** Copy of a source in the fixture's folder, changed. */
async function changed(fixture: TranscodeFixture, source: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const path = join(fixture.dir, 'changed');
  await writeFile(path, change(await readFile(source)));
  return fixture.upload(path);
}

interface Case {
  readonly what: string;
  readonly reason: string;
  readonly says: RegExp;
  readonly make: (fixture: TranscodeFixture) => Promise<string>;
  readonly deps?: Partial<TranscodeDeps>;
}

const cases: readonly Case[] = [
  {
    what: 'an empty file',
    reason: 'SOURCE_EMPTY',
    says: /no bytes/,
    make: (fixture) => changed(fixture, clipPath, () => Buffer.alloc(0)),
  },
  {
    what: 'a text file named .mp4',
    reason: 'SOURCE_NOT_VIDEO',
    says: /not a video/,
    make: async (fixture) => {
      await writeFile(join(fixture.dir, 'text.mp4'), 'Dear diary, today I renamed a file.\n');
      return fixture.upload(join(fixture.dir, 'text.mp4'), 'text.mp4');
    },
  },
  {
    what: 'an MP4 with no moov box',
    reason: 'SOURCE_UNREADABLE',
    says: /moov/,
    make: (fixture) => changed(fixture, clipPath, (bytes) => bytes.subarray(0, 500_000)),
  },
  {
    what: 'an MP4 cut in half behind its index',
    reason: 'SOURCE_TRUNCATED',
    says: /frames|too early/,
    make: async (fixture) => changed(fixture, await faststart(), (bytes) => bytes.subarray(0, bytes.length / 2)),
  },
  {
    what: 'a Matroska file cut in half',
    reason: 'SOURCE_TRUNCATED',
    says: /too early/,
    make: async (fixture) => {
      const source = await makeSource('whole.mkv', picture);
      return changed(fixture, source, (bytes) => bytes.subarray(0, bytes.length / 2));
    },
  },
  {
    what: 'a file with flipped bits in its pictures',
    reason: 'SOURCE_UNREADABLE',
    says: /decode errors/,
    make: async (fixture) =>
      changed(fixture, await faststart(), (bytes) => {
        const random = createSeededRandom(7);
        for (let flips = 0; flips < 60; flips++) {
          const at = Math.floor(bytes.length * (0.3 + 0.6 * random.next()));
          bytes.writeUInt8((bytes[at] ?? 0) ^ 0x5a, at);
        }
        return bytes;
      }),
  },
  {
    what: 'a file whose only audio has a codec that nobody knows',
    reason: 'SOURCE_UNREADABLE',
    says: /audio cannot be read: its codec is unknown/,
    make: async (fixture) => {
      const sound = ['-f', 'lavfi', '-i', 'sine=d=1', '-c:a', 'aac', '-shortest'];
      const source = await makeSource('heard.mkv', [...picture.slice(0, 4), ...sound, ...sourceCodec]);
      return changed(fixture, source, (bytes) =>
        Buffer.from(bytes.toString('latin1').replace('A_AAC', 'A_XYZ'), 'latin1'),
      );
    },
  },
  {
    what: 'an encrypted file',
    reason: 'SOURCE_UNREADABLE',
    says: /^source refused: (?!.*too early)/,
    make: async (fixture) => {
      const key = ['-encryption_key', '76a6c65c5ea762046bd749a2e632ccbb', '-encryption_kid', '0'.repeat(32)];
      const args = [...picture, '-encryption_scheme', 'cenc-aes-ctr', ...key];
      return fixture.upload(await makeSource('encrypted.mp4', args));
    },
  },
  {
    what: 'a file of audio alone',
    reason: 'SOURCE_NOT_VIDEO',
    says: /no video/,
    make: async (fixture) =>
      fixture.upload(await makeSource('tone.mka', ['-f', 'lavfi', '-i', 'sine=d=1', '-c:a', 'aac', '-f', 'matroska'])),
  },
  ...[
    ['an HLS playlist', '#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n'],
    ['a concat script', "ffconcat version 1.0\nfile '/etc/passwd'\n"],
    ['a concat script without its header', "file '/etc/passwd'\n"],
    ['a DASH manifest', '<?xml version="1.0"?><MPD></MPD>'],
    ['a link', 'http://127.0.0.1:1/movie.mp4\n'],
  ].map(
    ([what = '', text = '']): Case => ({
      what,
      reason: 'SOURCE_FORMAT_REFUSED',
      says: /send MP4/,
      make: async (fixture) => {
        await writeFile(join(fixture.dir, 'list'), text);
        return fixture.upload(join(fixture.dir, 'list'), 'movie.mp4');
      },
    }),
  ),
  {
    what: 'too many bytes',
    reason: 'SOURCE_TOO_LARGE',
    says: /bytes/,
    make: (fixture) => fixture.upload(clipPath),
    deps: { sourceLimits: { ...defaultSourceLimits, maxBytes: 1_000_000 } },
  },
  {
    what: 'too many pixels',
    reason: 'SOURCE_TOO_LARGE',
    says: /1280x720/,
    make: (fixture) => fixture.upload(clipPath),
    deps: { sourceLimits: { ...defaultSourceLimits, maxWidth: 1279 } },
  },
  {
    what: 'too many seconds',
    reason: 'SOURCE_TOO_LARGE',
    says: /5 s/,
    make: (fixture) => fixture.upload(clipPath),
    deps: { sourceLimits: { ...defaultSourceLimits, maxSeconds: 5 } },
  },
  {
    what: 'a picture to be held for too many seconds of audio',
    reason: 'SOURCE_TOO_LARGE',
    says: /5 s/,
    make: async (fixture) => {
      const inputs = ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=0.4', '-f', 'lavfi', '-i', 'sine=d=5'];
      return fixture.upload(await makeSource('held-long.mp4', [...inputs, ...sourceCodec, '-c:a', 'aac']));
    },
    deps: { sourceLimits: { ...defaultSourceLimits, maxSeconds: 4 } },
  },
  {
    what: 'too many frames',
    reason: 'SOURCE_TOO_LARGE',
    says: /frames/,
    make: (fixture) => fixture.upload(clipPath),
    deps: { sourceLimits: { ...defaultSourceLimits, maxFrames: 131 } },
  },
];

describe('refused sources', () => {
  for (const { what, reason, says, make, deps } of cases) {
    it(`refuses ${what} with ${reason} and publishes nothing`, async () => {
      await using fixture = await createTranscodeFixture(deps);
      const params = { titleId: 'titles/refused', sourceKey: await make(fixture), ladder: smallLadder };
      const error = await rejectsWith(fixture.run(params), Code.INVALID_ARGUMENT, reason);
      assert.match(error.message, says);
      assert.equal(error.fields[0]?.field, 'params.sourceKey');
      assert.deepEqual(await fixture.keys('titles/'), []);
    });
  }

  it('says NOT_FOUND for a source that is not in the store', async () => {
    await using fixture = await createTranscodeFixture();
    const params = { titleId: 'titles/absent', sourceKey: 'uploads/absent' };
    await rejectsWith(fixture.run(params), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
  });

  it('finds out a source that was replaced after the plan was made', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await faststart());
    const replace = () => fixture.upload(clipPath);
    const params = { titleId: 'titles/replaced', sourceKey, ladder: smallLadder };
    const replaced = fixture.run(params, { onChild: replace });
    await rejectsWith(replaced, Code.DATA_LOSS, 'CONTENT_MISMATCH');
  });

  it('names every faulty parameter', async () => {
    await using fixture = await createTranscodeFixture();
    const params = {
      titleId: 'Big Buck Bunny',
      sourceKey: 'http://example.com/movie.mp4',
      ladder: [{ height: 145, crf: 23, maxrateKbps: 800, codec: 'hevc' }],
      priority: 1,
    };
    const error = await rejectsWith(fixture.run(params), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const fields = error.fields.map((fault) => fault.field).sort();
    assert.deepEqual(
      fields,
      ['ladder[0].codec', 'ladder[0].height', 'priority', 'sourceKey', 'titleId'].map((name) => `params.${name}`),
    );
  });
});
