// Where we are: path and query of the address bar, as state. Links of this origin are followed without a load.

export const place = $state({ path: location.pathname, query: location.search });

function look() {
  place.path = location.pathname;
  place.query = location.search;
}

export function go(to, how = 'push') {
  if (how === 'replace') history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  look();
}

/** Sets query parameters; an empty value takes one away. */
export function setQuery(changes, how = 'replace') {
  const parameters = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === '') parameters.delete(name);
    else parameters.set(name, String(value));
  }
  const text = parameters.toString();
  go(location.pathname + (text ? `?${text}` : ''), how);
}

export const query = () => Object.fromEntries(new URLSearchParams(place.query));

/** The segments of the path, decoded. */
export function segments() {
  return place.path
    .split('/')
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

export function start() {
  addEventListener('popstate', look);
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest?.('a[href]');
    if (!link || link.target || link.hasAttribute('download')) return;
    const to = new URL(link.href, location.href);
    if (to.origin !== location.origin || to.pathname.startsWith('/api/') || (to.hash && to.pathname === location.pathname)) return;
    event.preventDefault();
    go(to.pathname + to.search);
  });
}
