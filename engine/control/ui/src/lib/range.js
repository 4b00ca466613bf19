// Ranges of time: the usual ones and any other, and the step that suits them.

export const RANGES = [
  ['15m', 'last 15 minutes', 15 * 60],
  ['1h', 'last hour', 3600],
  ['6h', 'last 6 hours', 6 * 3600],
  ['24h', 'last 24 hours', 86_400],
  ['7d', 'last 7 days', 7 * 86_400],
  ['30d', 'last 30 days', 30 * 86_400],
  ['90d', 'last 90 days', 90 * 86_400],
];
const BUCKETS_MAX = 180;
const STEPS = [5, 10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400];

/** `{from_ms, to_ms}` of what the query says; the last hour where it says nothing. */
export function span(query, now = Date.now()) {
  if (query.from_ms && query.to_ms) return { from_ms: Number(query.from_ms), to_ms: Number(query.to_ms), fixed: true };
  const seconds = (RANGES.find(([name]) => name === query.range) ?? RANGES[1])[2];
  return { from_ms: now - seconds * 1000, to_ms: now, fixed: false };
}

export function step({ from_ms, to_ms }) {
  const wanted = (to_ms - from_ms) / 1000 / BUCKETS_MAX;
  return STEPS.find((seconds) => seconds >= wanted) ?? STEPS.at(-1);
}

/** For `<input type="datetime-local">`, in the reader's zone. */
export function local(ms) {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
}
