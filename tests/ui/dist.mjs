// `dist.mjs SOURCE FRESH`: compares the committed build with a fresh one, and holds the sources to their rules.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { finish, test } from './harness.mjs';

const [source, fresh] = process.argv.slice(2);
const GZIP_BYTES_MAX = 150 << 10;

const walk = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
const files = walk(join(source, 'dist'));
const read = (top, name) => readFileSync(join(top, 'dist', name));
const sources = walk(join(source, 'src')).map((name) => [name, readFileSync(join(source, 'src', name), 'utf8')]);

await test('the committed dist has the files that its sources build', () => {
  const built = walk(join(fresh, 'dist'));
  if (files.join() !== built.join()) throw new Error(`committed: ${files.join(' ')}\nbuilt: ${built.join(' ')}\nrun npm ci && npm run build in engine/control/ui`);
});
await test('every file of it is the same, byte for byte', () => {
  for (const name of files.filter((name) => !name.endsWith('.gz'))) {
    if (!read(source, name).equals(read(fresh, name))) throw new Error(`${name} differs`);
  }
});
await test('what is compressed is what is not', () => {
  // Compressors of two Node versions may differ in their bytes, never in what comes out.
  const packed = files.filter((name) => name.endsWith('.gz'));
  if (packed.length * 2 !== files.length) throw new Error(files.join(' '));
  for (const name of packed) {
    if (!gunzipSync(read(source, name)).equals(read(source, name.slice(0, -3)))) throw new Error(`${name} is of another file`);
  }
});
await test(`all of it is at most ${GZIP_BYTES_MAX / 1024} KiB compressed`, () => {
  const bytes = files.filter((name) => name.endsWith('.gz')).reduce((sum, name) => sum + read(source, name).length, 0);
  console.log(`count: ${bytes} bytes compressed`);
  if (bytes > GZIP_BYTES_MAX) throw new Error(`${bytes} bytes`);
});
await test('nothing that is shown is ever taken for markup', () => {
  const WAYS = [/\{@html/, /innerHTML|outerHTML|insertAdjacentHTML|document\.write/, /\beval\(|new Function/, /srcdoc|javascript:/, /\sstyle="/];
  for (const [name, text] of sources) for (const way of WAYS) if (way.test(text)) throw new Error(`${name} holds ${way}`);
});
await test('nothing is loaded from elsewhere', () => {
  const OURS = ['http://www.w3.org', 'http://127.0.0.1', 'http://10.0.0.5', 'https://svelte.dev', 'https://…'];
  for (const name of files.filter((name) => /\.(js|css|html)$/.test(name))) {
    for (const [url] of read(source, name).toString().matchAll(/https?:\/\/[^\s"'`)]+/g)) {
      if (!OURS.some((known) => url.startsWith(known))) throw new Error(`${name} names ${url}`);
    }
  }
});
finish();
