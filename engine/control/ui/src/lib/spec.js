// An object's specification as plain JSON: reading and writing by path, and which error belongs to which field.

export function read(spec, path) {
  return path.split('.').reduce((value, name) => (value === null || value === undefined ? undefined : value[name]), spec);
}

const isEmpty = (value) => value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

/** A copy of `spec` with `value` at `path`; what is empty is left out, so that defaults stay defaults. */
export function write(spec, path, value) {
  const [first, ...rest] = path.split('.');
  const copy = { ...(spec ?? {}) };
  const inner = rest.length === 0 ? value : write(copy[first], rest.join('.'), value);
  const gone = rest.length === 0 ? isEmpty(inner) : Object.keys(inner).length === 0;
  if (gone) delete copy[first];
  else copy[first] = inner;
  return copy;
}

/** `providers.openai.keys[0].value` and `/keys/0/value` as `keys.0.value`. */
export function normal(path, section, name) {
  let text = String(path ?? '');
  if (text.startsWith('/')) text = text.slice(1).replaceAll('/', '.');
  text = text.replace(/^\$\.?/, '').replace(/\[["']?([^\]"']*)["']?\]/g, '.$1');
  for (const prefix of [`${section}.${name}`, `spec`]) {
    if (text === prefix) return '';
    if (text.startsWith(`${prefix}.`)) text = text.slice(prefix.length + 1);
  }
  return text;
}

export const belongs = (path, field) => path === field || path.startsWith(`${field}.`);

/** A masked secret, `{"secret": "…1234"}`, which a PUT may send back to keep it. */
export const isMask = (value) => typeof value === 'object' && value !== null && typeof value.secret === 'string';
export const clone = (value) => JSON.parse(JSON.stringify(value ?? {}));
