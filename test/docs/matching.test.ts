import assert from 'node:assert/strict';
import { faultsOf } from './bed/matching.ts';
import { examplesOf } from './bed/page.ts';

const json = (body: string, output: string) => faultsOf({ form: 'json', body }, output).length === 0;
const text = (body: string, output: string) => faultsOf({ form: 'text', body }, output).length === 0;

describe('expectations of docs', () => {
  it('hold when every member given is there with its value', () => {
    assert.ok(json('{ "a": 1, "b": { "c": "x" } }', '{\n  "a": 1,\n  "b": {\n    "c": "x",\n    "d": 2\n  }\n}\n'));
    assert.ok(!json('{ "a": 1 }', '{\n  "a": 2\n}\n'));
    assert.ok(!json('{ "a": { "b": 1 } }', '{\n  "a": null\n}\n'));
    assert.ok(!json('{ "a": "…" }', '{}\n'));
  });

  it('take … for a whole value and for a part of a text', () => {
    assert.ok(json('{ "a": "…", "b": "jobs/…" }', '{\n  "a": [\n    1\n  ],\n  "b": "jobs/7"\n}\n'));
    assert.ok(!json('{ "b": "jobs/…" }', '{\n  "b": "titles/7"\n}\n'));
  });

  it('want whole lists, and parts of lists with … among the entries', () => {
    const output = '{\n  "a": [\n    1,\n    2,\n    3\n  ]\n}\n';
    assert.ok(json('{ "a": [1, 2, 3] }', output));
    assert.ok(!json('{ "a": [1, 3] }', output));
    assert.ok(json('{ "a": [1, "…", 3] }', output));
    assert.ok(!json('{ "a": [3, "…", 1] }', output));
  });

  it('want several documents in their order, others between them', () => {
    const output = '{\n  "a": 1\n}\n{\n  "a": 2\n}\n{\n  "a": 3\n}\n';
    assert.ok(json('{ "a": 1 }\n{ "a": 3 }', output));
    assert.ok(!json('{ "a": 3 }\n{ "a": 1 }', output));
    assert.ok(!json('{ "a": 3 }\n{ "a": 3 }', output));
  });

  it('want each line of a text', () => {
    assert.ok(text('NOT_FOUND X: …', 'begin\n  NOT_FOUND X: "y" is not there\n'));
    assert.ok(!text('NOT_FOUND X: …', 'UNAVAILABLE X: y\n'));
  });

  it('are refused where the page is malformed', () => {
    assert.throws(() => examplesOf('```json expect\n{}\n```\n'), /nothing was run/);
    assert.throws(() => examplesOf('```sh runs\nls\n```\n'), /what is "sh runs"/);
    assert.throws(() => examplesOf('```sh run\nls\n'), /never closed/);
  });
});
