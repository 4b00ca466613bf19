// Who is here: a session's user, or whoever holds the token that was typed in.
import { Problem, bearer, get, post, remove, whenUnauthorized } from './api.js';
import { go, place } from './router.svelte.js';

export const session = $state({ known: false, name: null, role: null, team: null, how: null });

const ORDER = ['viewer', 'operator', 'admin', 'owner'];

/** May whoever is here do what `role` may? The gateway decides; this only spares buttons that would be refused. */
export const may = (role) => ORDER.indexOf(session.role) >= ORDER.indexOf(role);

function enter(answer) {
  session.name = answer?.name ?? answer?.user ?? 'admin';
  session.role = answer?.role ?? 'owner';
  session.team = answer?.team ?? null;
  session.how = answer?.how ?? 'token';
  session.known = true;
}

/** Asks the gateway; without a session, the page to log in. */
export async function recall() {
  try {
    enter(await get('session', null, { quiet: true }));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    session.known = true;
    session.name = null;
    if (problem.status !== 401) throw problem;
    leave();
  }
}

function leave() {
  session.name = null;
  session.role = null;
  bearer(null);
  if (place.path !== '/login' && place.path !== '/start') {
    const from = place.path === '/' ? '' : `?from=${encodeURIComponent(place.path + place.query)}`;
    go(`/login${from}`, 'replace');
  }
}
whenUnauthorized(leave);

export async function login(user, password) {
  await post('session', { user, password }, { quiet: true });
  await recall();
}

export async function loginWithToken(token) {
  bearer(token);
  try {
    enter(await get('session', null, { quiet: true }));
  } catch (problem) {
    bearer(null);
    throw problem;
  }
}

/** The one-time link of the first start, with the name and the password of the owner-to-be. */
export async function loginWithLink(link, user, password) {
  bearer(null);
  enter(await post('session', { link, user, password }, { quiet: true }));
}

export async function logout() {
  if (!bearer()) await remove('session', { quiet: true }).catch(() => null);
  leave();
  go('/login');
}
