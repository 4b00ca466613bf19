// A gateway with something on every page: objects of the file, and traffic of all kinds.
import { createServer } from 'node:http';
import { gateway } from './gateway.mjs';

export const CONFIG = (mock, receiver = 'http://127.0.0.1:9/none') => `
providers:
  openai: {base_url: "${mock}/v1", keys: [{name: main, value: upstream-key-of-the-mock, weight: 3}, {name: second, value: upstream-key-two-of-it}], models: [gpt-4.1, gpt-4.1-mini]}
  anthropic: {base_url: "${mock}", keys: [{name: main, value: upstream-key-of-the-mock}]}
routes:
  chat-large:
    targets: [{model: openai/gpt-4.1, weight: 3}, {model: anthropic/claude-sonnet-4-5, weight: 1}]
    fallbacks: [openai/gpt-4.1-mini]
  shaky: {targets: [openai/fault-500-always], fallbacks: [anthropic/claude-sonnet-4-5], retries: 0}
aliases: {fast: openai/gpt-4.1-mini}
virtual_keys:
  mobile: {key: ui-suite-key-of-the-file-01, team: apps, limits: [{requests: 6000, per: 1m}], budgets: [{usd: "50.00", per: 1d}]}
teams: {apps: {customer: acme, budgets: [{usd: "2000", per: 1mo}]}}
customers: {acme: {budgets: [{usd: "5000", per: 1mo}]}}
channels: {on-call: {webhook: "${receiver}", secret: ${HOOK_SECRET}}}
alerts: {too-many-errors: {watch: errors, above: 10%, to: [on-call]}}
`;
const HOOK_SECRET = 'a-secret-of-the-receiver';
export const KEY = 'ui-suite-key-of-the-file-01';
/** What must stand on no page. */
export const SECRETS = ['upstream-key-of-the-mock', 'upstream-key-two-of-it', KEY, HOOK_SECRET];

export async function scene() {
  const posts = [];
  const receiver = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += piece));
    request.on('end', () => {
      posts.push({ signature: request.headers['x-ringway-signature'], text });
      response.end();
    });
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  receiver.unref();
  const place = await gateway({ config: (mock) => CONFIG(mock, `http://127.0.0.1:${receiver.address().port}/hook`) });
  for (let round = 0; round < 6; round += 1) {
    await place.chat('chat-large', { key: KEY, tags: 'env=dev,project=search', stream: round % 2 === 1 });
    await place.chat('shaky', { key: KEY });
    await place.chat('fast', { key: KEY, stream: true });
  }
  await place.chat('openai/fault-401', { key: KEY });
  await place.chat('no-such-model', { key: KEY });
  return { ...place, posts };
}
