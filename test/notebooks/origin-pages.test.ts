import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { createNotebookPages } from '../../server/notebooks/notebook-pages.ts';
import { startHttpOrigin } from '../../server/origin/http-origin.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { code, notebookOf } from './notebook-bed.ts';

const attack = '<script>alert(1)</script><img src=x onerror=alert(1)>';

async function bed(hasPages = true) {
  const stores = await createEmbeddedStores();
  const { objects } = stores;
  const pages = hasPages ? createNotebookPages(objects, 3) : undefined;
  const origin = await startHttpOrigin({ address: '127.0.0.1:0', objects, log: silentLogger, pages });
  return {
    get: (path: string, init: RequestInit = {}) => fetch(`${origin.baseUrl}${path}`, init),
    objects,
    [Symbol.asyncDispose]: async () => {
      await origin.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}

function put(objects: ObjectStore, key: string, ...cells: object[]) {
  return objects.put(key, Buffer.from(JSON.stringify(notebookOf(...cells))));
}

const output = { output_type: 'display_data', data: { 'text/html': `<b>shown</b>${attack}` }, metadata: {} };

describe('notebook pages of the HTTP origin', () => {
  it('show an output notebook that can do nothing, to be read by this site only and kept until it changes', async () => {
    await using at = await bed();
    await put(at.objects, 'notebooks/runs/j1/output.ipynb', { ...code(attack), outputs: [output] });
    const answer = await at.get('/notebooks/runs/j1/output.ipynb');
    const page = await answer.text();
    assert.equal(answer.status, 200);
    assert.match(page, /<b>shown<\/b>/);
    assert.doesNotMatch(page, /<script|<img/);
    assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
    assert.deepEqual(
      ['access-control-allow-origin', 'x-content-type-options', 'referrer-policy'].map((name) =>
        answer.headers.get(name),
      ),
      [null, 'nosniff', 'no-referrer'],
    );
    const etag = answer.headers.get('etag') ?? '';
    const again = await at.get('/notebooks/runs/j1/output.ipynb', { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
    await put(at.objects, 'notebooks/runs/j1/output.ipynb', code('changed'));
    const changed = await at.get('/notebooks/runs/j1/output.ipynb', { headers: { 'if-none-match': etag } });
    assert.deepEqual([changed.status, /changed/.test(await changed.text())], [200, true]);
    const head = await at.get('/notebooks/runs/j1/output.ipynb', { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
  });

  it('list what there is, as links that lead there, over any number of live segments', async () => {
    await using at = await bed();
    await put(at.objects, 'notebooks/a & b/%41.ipynb', code('odd name'));
    await put(at.objects, 'notebooks/runs/j1/output.ipynb', code('plain'));
    for (let i = 0; i < 7; i++) await at.objects.put(`notebooks/live/j1/${i}.ndjson`, Buffer.from('{}'));
    const list = await (await at.get('/notebooks/')).text();
    const links = [...list.matchAll(/href="([^"]+)"/g)].map(([, href = '']) => href.replaceAll('&amp;', '&'));
    assert.deepEqual(links, ['/notebooks/a%20%26%20b/%2541.ipynb', '/notebooks/runs/j1/output.ipynb']);
    assert.match(await (await at.get(links[0] ?? '')).text(), /odd name/);
    const rest = await (await at.get('/notebooks/?after=notebooks/b')).text();
    assert.doesNotMatch(rest, /odd|%41/);
  });

  it('say what is wrong with a document that is none', async () => {
    await using at = await bed();
    await at.objects.put('notebooks/broken.ipynb', Buffer.from(`{"nbformat": 3, "cells": "${attack}"}`));
    const page = await (await at.get('/notebooks/broken.ipynb')).text();
    assert.match(page, /nbformat/);
    assert.doesNotMatch(page, /<script/);
  });

  it('are not there for anything else: other objects, other paths, other methods, or when they are off', async () => {
    await using at = await bed();
    await at.objects.put('models/secret.ipynb', Buffer.from('{}'));
    await at.objects.put('notebooks/live/j1/1.ndjson', Buffer.from('{}'));
    const paths = [
      '/notebooks/none.ipynb',
      '/notebooks/live/j1/1.ndjson',
      '/notebooks/..%2Fmodels%2Fsecret.ipynb',
      '/notebooks/%2e%2e/models/secret.ipynb',
      '/notebooks/%zz.ipynb',
      '/models/secret.ipynb',
    ];
    for (const path of paths) assert.equal((await at.get(path)).status, 404, path);
    assert.equal((await at.get('/notebooks/', { method: 'POST' })).status, 405);
    await using off = await bed(false);
    await put(off.objects, 'notebooks/runs/j1/output.ipynb', code('1'));
    for (const path of ['/notebooks/', '/notebooks/runs/j1/output.ipynb'])
      assert.equal((await off.get(path)).status, 404);
  });
});
