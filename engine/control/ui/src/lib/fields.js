// The forms of all objects, as tables. What is not here is reached by `All fields as JSON`.
import { names } from './catalog.svelte.js';

const models = () => names.models;
const LIMITS = { path: 'limits', label: 'Rate limits', type: 'limits', hint: 'All that apply must pass.' };
const BUDGETS = { path: 'budgets', label: 'Budgets', type: 'budgets', hint: 'In exact decimal dollars, or in tokens.' };

export const KEY = [
  { path: 'team', label: 'Team', hint: 'Whose limits and budgets count, too.', suggestions: () => names.teams },
  { path: 'customer', label: 'Customer', suggestions: () => names.customers },
  { path: 'profile', label: 'Profile', hint: 'What many keys have in common.', suggestions: () => names.profiles },
  { path: 'models', label: 'Models', type: 'lines', hint: 'One a line: a route, provider/model, or a pattern like openai/*. Empty: all.', placeholder: 'openai/*' },
  LIMITS,
  BUDGETS,
  { path: 'enabled', label: 'Enabled', type: 'check', default: true },
];

export const TEAM = [{ path: 'customer', label: 'Customer', hint: 'Whose budgets count, too.', suggestions: () => names.customers }, LIMITS, BUDGETS];
export const CUSTOMER = [LIMITS, BUDGETS];
export const PROFILE = [{ path: 'models', label: 'Models', type: 'lines', hint: 'One a line. Empty: all.' }, LIMITS, BUDGETS];

export const ROUTE = [
  { path: 'targets', label: 'Targets', type: 'targets', suggestions: models, hint: 'Drawn by weight. A target of weight 0 is tried last.' },
  { path: 'fallbacks', label: 'Fallbacks', type: 'fallbacks', suggestions: models, hint: 'Tried in this order after the targets.' },
  {
    path: 'strategy',
    label: 'Strategy',
    type: 'select',
    options: [
      ['', 'weighted (default)'],
      ['least_latency', 'least latency'],
      ['least_busy', 'least busy'],
      ['cheapest', 'cheapest'],
      ['round_robin', 'round robin'],
    ],
    when: (spec) => typeof spec.strategy !== 'object',
  },
  { path: 'retries', label: 'Retries on the same target', type: 'number', placeholder: '2' },
  { path: 'timeouts.first_byte', label: 'Time to the first byte', placeholder: '120s' },
  { path: 'timeouts.total', label: 'Time in all', placeholder: '10m' },
  {
    path: 'rescue',
    label: 'When a stream breaks after its first byte',
    type: 'select',
    options: [
      ['', 'end it with an error (default)'],
      ['restart', 'start again with the next target'],
      ['resume', 'let the next attempt complete it'],
    ],
  },
];

const CREDENTIALS = { path: 'keys', label: 'Credentials', type: 'secrets', hint: 'Sealed at rest and never shown again. A reference like vault://secret/openai#key, or ${file:/path}, works, too.' };
const CLOUD = {
  base_url: { label: 'Base URL', placeholder: 'https://…' },
  region: { label: 'Region', placeholder: 'us-east-1' },
  project: { label: 'Project' },
  location: { label: 'Location', placeholder: 'us-central1' },
  api_version: { label: 'API version', placeholder: '2024-10-21' },
  access_key_id: { label: 'Access key id', hint: 'Without one: the chain of the machine.' },
  secret_access_key: { label: 'Secret access key', type: 'secret' },
  session_token: { label: 'Session token', type: 'secret' },
  tenant_id: { label: 'Tenant id' },
  client_id: { label: 'Client id' },
  client_secret: { label: 'Client secret', type: 'secret' },
  credentials: { label: 'Service account (JSON)', type: 'secret' },
  access_token: { label: 'Access token', type: 'secret' },
};
const field = (path) => ({ path, ...(CLOUD[path] ?? { label: path.replaceAll('_', ' ') }) });

/** What providers of clouds take in place of keys. */
const OF_CLOUDS = {
  azure: ['api_version', 'tenant_id', 'client_id', 'client_secret'],
  bedrock: ['access_key_id', 'secret_access_key', 'session_token'],
  vertex: ['credentials', 'access_token'],
};

/** The fields of a provider of this type, or of one that is there. */
export function provider(type, spec = {}) {
  const wanted = [...(type?.fields ?? []).map((row) => row.name), ...(OF_CLOUDS[type?.name] ?? [])];
  const there = Object.keys(CLOUD).filter((name) => name in spec);
  const paths = [...new Set([...wanted, ...there])].filter((name) => name !== 'base_url');
  const needsUrl = !type?.base_url;
  const takesKeys = !['bedrock', 'vertex'].includes(type?.name) || 'keys' in spec;
  const defaults = Object.fromEntries((type?.fields ?? []).map((row) => [row.name, row.default]));
  return [
    { path: 'like', label: 'Speaks like', hint: 'A built-in provider whose ways it has: openai for most servers of one’s own.', when: (now) => !type || 'like' in now },
    ...(takesKeys ? [CREDENTIALS] : []),
    ...paths.map((path) => ({ ...field(path), ...(defaults[path] ? { placeholder: defaults[path] } : {}) })),
    { ...field('base_url'), hint: needsUrl ? 'Where its API begins.' : 'Only where it is another one than the provider’s own.', placeholder: type?.base_url ?? 'https://…' },
    { path: 'models', label: 'Models that it serves', type: 'lines', hint: 'One a line; not needed to ask for them. An entry may be JSON with a price: {"name": "m", "price": {"input": "0.15", "output": "0.60"}}' },
    LIMITS,
    BUDGETS,
  ];
}

export const ALIAS = [{ path: 'model', label: 'Model', suggestions: models, placeholder: 'openai/gpt-4.1-mini' }];
