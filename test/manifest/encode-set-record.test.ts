import assert from 'node:assert/strict';
import { type EncodeSetRecord, parseEncodeSetRecord } from '../../server/manifest/encode-set-record.ts';
import type { EncodeSet } from '../../workers/transcode/publish/encode-set.ts';

const sha256 = 'ab'.repeat(32);
const folder = 'titles/bunny/v0123456789abcdef';

/** A commit record in the very type that the transcode job writes. */
const written: EncodeSet = {
  format: 1,
  title: 'titles/bunny',
  version: 'v0123456789abcdef',
  sourceSha256: sha256,
  frameCount: 150,
  frameRate: '30000/1001',
  durationSeconds: 5.005,
  hlsObjectKey: `${folder}/master.m3u8`,
  dashObjectKey: `${folder}/manifest.mpd`,
  verificationObjectKey: `${folder}/verification.json`,
  ladderObjectKey: `${folder}/ladder.json`,
  planObjectKey: `transcode/plans/${sha256}.json`,
  notes: [],
  totalBytes: 1_000,
  files: [
    {
      id: 'video-720p',
      kind: 'video',
      profile: 'h264-high-720p',
      codec: 'avc1.64001f',
      bitrateBps: 2_500_000,
      peakBps: 3_000_000,
      language: '',
      width: 1280,
      height: 720,
      totalBytes: 900,
      sha256,
      objectKey: `${folder}/video/720p/`,
      segmentCount: 3,
    },
  ],
  objects: [{ key: `${folder}/master.m3u8`, bytes: 100, sha256 }],
};

describe('the commit record of an encode set', () => {
  it('is read as the transcode job writes it', () => {
    const read: EncodeSetRecord = parseEncodeSetRecord('key', Buffer.from(JSON.stringify(written)));
    // What is left of the record is for people and for the job itself.
    const { format: _f, sourceSha256: _s, totalBytes: _t, notes: _n, ...rest } = written;
    const { verificationObjectKey: _v, ladderObjectKey: _l, planObjectKey: _p, ...shared } = rest;
    assert.deepEqual(read, { ...shared, files: shared.files.map(({ peakBps: _, ...file }) => file) });
  });
});
