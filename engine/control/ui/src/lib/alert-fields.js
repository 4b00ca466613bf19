// The forms of an alert and of a channel.
import { names } from './catalog.svelte.js';

const words = (...list) => list.map(([value, text]) => [value, text]);
export const WATCH = {
  budget: 'a budget nears its end',
  errors: 'errors of providers or of the gateway',
  down: 'a target or a credential is down',
  latency: 'answers are slow',
  spend: 'spending is unusual for the hour',
};
const ABOVE = { '': 'budget 80%, errors 5%, spend 3x', budget: '80%', errors: '5%', latency: '5s', spend: '3x' };

/** The form of an alert that is `spec` now: some fields are for some of what is watched. */
export const ALERT = [
  { path: 'watch', label: 'Watches', type: 'select', options: words(['', 'choose …'], ...Object.entries(WATCH)) },
  { path: 'above', label: 'From where on it fires', placeholder: ABOVE[''], hint: 'A percentage of a budget or of the requests, a duration like 5s for latency, a factor like 3x for spending.', when: (spec) => spec.watch !== 'down' },
  { path: 'quantile', label: 'Of which requests', type: 'select', options: words(['', 'p95 (default)'], ['p50', 'p50'], ['p90', 'p90'], ['p99', 'p99']), when: (spec) => spec.watch === 'latency' },
  { path: 'measure', label: 'Which time', type: 'select', options: words(['', 'the whole answer (default)'], ['first_token', 'to the first token of streams']), when: (spec) => spec.watch === 'latency' },
  { path: 'over', label: 'Over how long', placeholder: '5m', when: (spec) => spec.watch === 'errors' || spec.watch === 'latency' },
  { path: 'by', label: 'Told apart by', type: 'select', options: words(['', 'nothing: all together (default)'], ['provider', 'provider'], ['model', 'model'], ['route', 'route'], ['key', 'key'], ['team', 'team'], ['customer', 'customer']), when: (spec) => spec.watch !== 'budget' && spec.watch !== 'down' },
  { path: 'of', label: 'Only these', type: 'lines', rows: 2, hint: 'Names or patterns, one a line. Empty: all.' },
  { path: 'hold', label: 'How long it must be so', placeholder: '0s' },
  { path: 'cool_down', label: 'Least time between two messages', placeholder: '10m' },
  { path: 'severity', label: 'Severity', type: 'select', options: words(['', 'warning (default)'], ['critical', 'critical'], ['error', 'error'], ['info', 'info']) },
  { path: 'to', label: 'Tells', type: 'lines', rows: 2, hint: 'Names of channels, one a line. Without any it is shown here, and nobody is told.', placeholder: 'on-call', suggestions: () => names.channels },
  { path: 'enabled', label: 'Enabled', type: 'check', default: true },
];

export const CHANNEL = [
  { path: 'webhook', label: 'Webhook', type: 'secret', placeholder: 'https://…', hint: 'One of these four. Each is a secret: whoever knows the address may write there.' },
  { path: 'secret', label: 'Secret that signs the webhook', type: 'secret', when: (spec) => 'webhook' in spec },
  { path: 'slack', label: 'Slack incoming webhook', type: 'secret', placeholder: 'https://…' },
  { path: 'teams', label: 'Microsoft Teams workflow', type: 'secret', placeholder: 'https://…' },
  { path: 'pagerduty', label: 'PagerDuty routing key', type: 'secret' },
];
