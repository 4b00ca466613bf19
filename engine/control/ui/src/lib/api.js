// The admin API: one request function, errors as `Problem`, lists, and event streams by fetch.

const TOKEN = 'ringway-token';

/** An error of the API (RFC 9457), with the messages of its fields. */
export class Problem extends Error {
  constructor(status, body) {
    const old = body?.error ?? {};
    super(body?.detail ?? old.message ?? body?.title ?? `the gateway answered ${status}`);
    this.status = status;
    this.title = body?.title ?? '';
    this.code = body?.code ?? old.code ?? '';
    this.errors = Array.isArray(body?.errors) ? body.errors : [];
  }
}

/** A bearer token instead of a session: kept for this tab alone. */
export function bearer(value) {
  if (value === null) sessionStorage.removeItem(TOKEN);
  else if (value !== undefined) sessionStorage.setItem(TOKEN, value);
  return sessionStorage.getItem(TOKEN);
}

let onUnauthorized = () => {};
export function whenUnauthorized(act) {
  onUnauthorized = act;
}

export function url(path, query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '' && value !== false) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

async function send(method, path, { query, body, text, headers = {}, signal, quiet } = {}) {
  const fields = { accept: 'application/json', ...headers };
  const token = bearer();
  if (token) fields.authorization = `Bearer ${token}`;
  let payload;
  if (body !== undefined) {
    payload = JSON.stringify(body);
    fields['content-type'] = 'application/json';
  } else if (text !== undefined) {
    payload = text;
    fields['content-type'] ??= 'application/yaml';
  }
  let response;
  try {
    response = await fetch(url(path, query), { method, headers: fields, body: payload, signal, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { title: 'no answer', detail: 'the gateway does not answer; is it still running?' });
  }
  if (response.ok) return response;
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    problem = null;
  }
  if (response.status === 401 && !quiet) onUnauthorized();
  throw new Problem(response.status, problem);
}

async function parsed(response) {
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = async (path, query, options) => parsed(await send('GET', path, { query, ...options }));
export const post = async (path, body = {}, options) => parsed(await send('POST', path, { body, ...options }));
export const put = async (path, body, options) => parsed(await send('PUT', path, { body, ...options }));
export const remove = async (path, options) => parsed(await send('DELETE', path, options));
export const getText = async (path, query) => (await send('GET', path, { query, headers: { accept: '*/*' } })).text();
export const postText = async (path, text, query) => parsed(await send('POST', path, { text, query }));

/** All pages of a list, at most `PAGES_MAX`. */
const PAGES_MAX = 20;
export async function list(path, query) {
  const data = [];
  let cursor = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await get(path, { limit: 1000, ...query, cursor });
    data.push(...(answer?.data ?? []));
    cursor = answer?.next ?? null;
    if (!cursor) break;
  }
  return data;
}

/** One path segment. */
export const segment = (name) => encodeURIComponent(name);

/** Saves what `path` answers as a file. */
export async function download(path, query, name) {
  const response = await send('GET', path, { query, headers: { accept: '*/*' } });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const EVENT_CHARACTERS_MAX = 4 << 20;

/** Reads server-sent events, or one whole answer as if it were one, until they end or `signal` aborts; calls `onEvent({event, data})`. */
export async function stream(method, path, { query, body, signal, onOpen, onEvent }) {
  const response = await send(method, path, { query, body, signal, headers: { accept: 'text/event-stream' } });
  onOpen?.(response);
  if (response.headers.get('content-type')?.startsWith('application/json')) {
    onEvent({ event: 'message', data: await response.text() });
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    await readEvents(reader, onEvent);
  } finally {
    reader.cancel().catch(() => null);
  }
}

async function readEvents(reader, onEvent) {
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    rest += value;
    if (rest.length > EVENT_CHARACTERS_MAX) throw new Problem(0, { detail: 'an event of the stream is too long' });
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { event: 'message', data: '' };
      const lines = [];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith('data:')) lines.push(line.slice(5).replace(/^ /, ''));
        else if (line.startsWith('event:')) event.event = line.slice(6).trim();
      }
      event.data = lines.join('\n');
      if (lines.length > 0) onEvent(event);
    }
  }
}
