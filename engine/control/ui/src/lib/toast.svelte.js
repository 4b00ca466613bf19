// Short messages at the lower edge, read out politely.

export const toasts = $state([]);
let next = 0;
const TOASTS_MAX = 4;
const SHOWN_MS = 6000;

export function say(text, kind = 'good') {
  next += 1;
  const id = next;
  toasts.push({ id, text, kind });
  if (toasts.length > TOASTS_MAX) toasts.shift();
  setTimeout(() => {
    const index = toasts.findIndex((toast) => toast.id === id);
    if (index >= 0) toasts.splice(index, 1);
  }, SHOWN_MS);
}
