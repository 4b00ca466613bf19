// Figures as text. Money comes as decimal text and is never added up through floating point where it is shown as exact.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

export const DASH = '–';
const absent = (value) => value === null || value === undefined || value === '' || Number.isNaN(value);

export const count = (value) => (absent(value) ? DASH : whole.format(value));
export const short = (value) => (absent(value) ? DASH : Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value));

const trim = (text) => text.replace(/\.0+$/, '');

export function duration(ms) {
  if (absent(ms)) return DASH;
  if (ms === 0) return '0 ms';
  if (ms < 1) return `${(ms * 1000).toFixed(0)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${trim((ms / 1000).toFixed(ms < 10_000 ? 2 : 1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}
export const micros = (us) => (absent(us) ? DASH : duration(us / 1000));

/** Dollars: cents for sums, more digits for what is small; exact in the tooltip, which shows the text itself. */
export function dollars(value) {
  if (absent(value)) return DASH;
  const number = Number(value);
  if (Number.isNaN(number)) return String(value);
  if (number === 0) return '$0';
  if (Math.abs(number) >= 10_000) return `$${compact.format(number)}`;
  if (Math.abs(number) >= 1) return `$${number.toFixed(2)}`;
  if (Math.abs(number) >= 0.0001) return `$${number.toFixed(4).replace(/0{1,2}$/, '')}`;
  return `$${number.toPrecision(2)}`;
}

export function percent(part, all) {
  if (!all) return DASH;
  const share = (100 * part) / all;
  return `${share >= 10 || share === 0 ? share.toFixed(0) : share.toFixed(share < 0.1 ? 2 : 1)} %`;
}

export function bytes(value) {
  if (absent(value)) return DASH;
  if (value < 1024) return `${value} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

const pad = (value, width = 2) => String(value).padStart(width, '0');
const asDate = (at) => (typeof at === 'number' ? new Date(at) : new Date(String(at)));

/** `2026-11-20 19:38:14`, in the reader's own zone. */
export function time(at) {
  if (absent(at)) return DASH;
  const date = asDate(at);
  if (Number.isNaN(date.getTime())) return String(at);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** The clock alone where it is today's. */
export function clock(at) {
  const text = time(at);
  return text.slice(0, 10) === time(Date.now()).slice(0, 10) ? text.slice(11) : text;
}

export function ago(at) {
  if (absent(at)) return DASH;
  const ms = Date.now() - asDate(at).getTime();
  if (Number.isNaN(ms)) return String(at);
  if (ms < 1500) return 'now';
  return `${duration(Math.max(ms, 1000)).replace(/ \d+ (s|min|h)$/, '')} ago`;
}

export const json = (value) => JSON.stringify(value, null, 2);
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
