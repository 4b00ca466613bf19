// A real gateway in front of `loadtest mock`, in a folder of its own, on ports of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS_MAX = 20_000;
export const TOKEN = 'ui-suite-admin-token-01';

/** Below the kernel's range for outgoing connections: no client can take them before the servers do. */
async function port() {
  for (;;) {
    const wanted = 10_000 + Math.floor(Math.random() * 20_000);
    const taken = await new Promise((resolve) => {
      const server = createServer().once('error', () => resolve(null));
      server.listen(wanted, '127.0.0.1', () => server.close(() => resolve(wanted)));
    });
    if (taken) return taken;
  }
}

const children = new Set();
function run(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (child.text = (child.text + piece).slice(-200_000)));
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}
export function killAll() {
  for (const child of children) child.kill('SIGKILL');
}
process.on('exit', killAll);

export async function until(what, look, ms = START_MS_MAX) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await look().catch(() => null);
    if (value) return value;
    if (Date.now() > end) throw new Error(`after ${ms} ms still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let upstream = null;
/** One mock provider for all gateways of the suite. */
export async function mock() {
  if (upstream) return upstream;
  const place = await port();
  const child = run(process.env.LOADTEST_BIN, ['mock', '--listen', `127.0.0.1:${place}`, '--tokens', '12', '--gap', '2ms']);
  const url = `http://127.0.0.1:${place}`;
  await until(`the mock listens: ${child.text}`, async () => (await fetch(`${url}/v1/models`)).ok);
  upstream = url;
  return url;
}

/** `config(mock)` is the file; without it the gateway starts with nothing. */
export async function gateway({ config = null, flags = [], token = TOKEN } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'ringway-ui-'));
  const [data, admin] = [await port(), await port()];
  const args = ['--listen', `127.0.0.1:${data}`, '--admin', `127.0.0.1:${admin}`, '--data-dir', join(folder, 'data'), '--threads', '1', '--driver', 'epoll', ...flags];
  if (token) args.push('--admin-token', token);
  if (config) {
    writeFileSync(join(folder, 'ringway.yaml'), config(await mock()));
    args.push('--config', join(folder, 'ringway.yaml'));
  }
  const child = run(process.env.RINGWAY_BIN, args, { cwd: folder });
  const [url, dataUrl] = [`http://127.0.0.1:${admin}`, `http://127.0.0.1:${data}`];
  await until('the gateway is ready', async () => {
    if (child.exitCode !== null) throw new Error(child.text);
    return (await fetch(`${url}/readyz`)).ok;
  }).catch((error) => {
    throw new Error(`${error.message}\n${child.text}`);
  });
  return {
    url,
    data: dataUrl,
    token,
    text: () => child.text,
    /** The API, with the start's token. */
    async api(path, { method = 'GET', body, headers = {} } = {}) {
      const response = await fetch(`${url}/api/v1/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 600)}`);
      return text ? JSON.parse(text) : null;
    },
    /** One chat request as a client sends it. */
    chat(model, { key, tags, stream = false, content = 'hello', user } = {}) {
      return fetch(`${dataUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}), ...(tags ? { 'x-ringway-tags': tags } : {}) },
        body: JSON.stringify({ model, stream, user, messages: [{ role: 'user', content }] }),
      }).then(async (response) => ({ status: response.status, text: await response.text() }));
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 3000).unref();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function stopMock() {
  killAll();
}
