// Every page of the UI: its address, its heading. All of them are looked at for faults of accessibility, width and shots.
export const PAGES = [
  ['overview', '/overview', 'Overview'],
  ['overview-by-provider', '/overview?by=provider&range=15m', 'Overview'],
  ['requests', '/requests', 'Requests'],
  ['playground', '/playground', 'Playground'],
  ['providers', '/providers', 'Providers'],
  ['provider', '/providers/openai', 'openai'],
  ['models', '/models', 'Models'],
  ['catalog', '/models?view=catalog&search=gpt-4.1', 'Models'],
  ['routes', '/routes', 'Routes'],
  ['route', '/routes/chat-large', 'chat-large'],
  ['keys', '/keys', 'Keys'],
  ['teams', '/teams', 'Teams'],
  ['alerts', '/alerts', 'Alerts'],
  ['audit', '/audit', 'Audit'],
  ['settings', '/settings', 'Settings'],
  ['revisions', '/settings/revisions', 'Settings'],
  ['export', '/settings/export', 'Settings'],
  ['users', '/settings/users', 'Settings'],
  ['tokens', '/settings/tokens', 'Settings'],
];
/** Those that are there without a session. */
export const OPEN_PAGES = [
  ['login', '/login', 'Ringway'],
  ['start', '/start?link=0123456789', 'Welcome to Ringway'],
];
