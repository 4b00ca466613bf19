// Text stays text: payloads of cross-site scripting in every place that a request or an object can fill, on every page.
import { open, visit } from './browser.mjs';
import { gateway, mock, TOKEN } from './gateway.mjs';
import { assert, test } from './harness.mjs';
import { PAGES } from './pages.mjs';

const PAYLOADS = [
  '<img src=x onerror=hit()>',
  '<script>hit()</script>',
  '"><svg onload=hit()>',
  "'-hit()-'",
  '{{constructor.constructor("hit()")()}}',
  '{@html "<img src=x onerror=hit()>"}',
  '${hit()}',
  'javascript:hit()',
  '<iframe srcdoc="<script>parent.hit()</script>">',
  '</textarea><img src=x onerror=hit()>',
  '</script><script>hit()</script>',
  '<a href="javascript:hit()">x</a>',
  '<details open ontoggle=hit()>',
  '\u202e<b onmouseover=hit()>',
  '<style>@import "//evil.example";</style>',
  '&lt;img src=x onerror=hit()&gt;',
  '<math><mtext><table><mglyph><style><img src=x onerror=hit()>',
];
/** Names of routes hold no space. */
const NAMES = ['<svg/onload=hit()>', '"><img/src=x/onerror=hit()>'];
const KEY = 'ui-suite-key-of-payloads-1';

export async function run() {
  await test(`${PAYLOADS.length} payloads in models, tags, users, names, bodies and errors stay text on every page`, async () => {
    const upstream = await mock();
    // Names of keys, teams and customers cannot hold them; those of models, routes and aliases can.
    const config = () => `
providers:
  openai: {base_url: "${upstream}/v1", keys: [key-of-the-mock], models: ${JSON.stringify(PAYLOADS.filter((payload) => !payload.includes('${')))}}
routes:
  chat-large: {targets: ${JSON.stringify(PAYLOADS.slice(0, 3).map((payload) => ({ model: `openai/${payload}` })))}, fallbacks: ${JSON.stringify([`openai/${PAYLOADS[3]}`])}}
  ${JSON.stringify(NAMES[0])}: {targets: [openai/gpt-4.1]}
aliases: {${JSON.stringify(NAMES[1])}: openai/gpt-4.1}
virtual_keys:
  typical: {key: ${KEY}, team: apps}
teams: {apps: {budgets: [{usd: "5", per: 1d}]}}
`;
    const place = await gateway({ config });
    const refused = [];
    for (const [index, payload] of PAYLOADS.entries()) {
      // What the gateway takes stands on a page; what it refuses is an error that stands in a dialog, below.
      await place.api(`aliases/${encodeURIComponent(payload)}`, { method: 'PUT', body: 'openai/gpt-4.1' }).catch(() => refused.push(payload));
      await place.api(`routes/${encodeURIComponent(`r${index}${payload}`)}`, { method: 'PUT', body: { targets: [`openai/${payload}`] } }).catch(() => refused.push(payload));
      const body = { model: `openai/${payload}`, user: payload, messages: [{ role: 'user', content: payload }] };
      const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', 'x-ringway-tags': `t=${encodeURI(payload).replaceAll(',', '')}`, 'x-request-id': encodeURI(payload) };
      await fetch(`${place.data}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body) });
      await fetch(`${place.data}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify({ ...body, model: payload }) });
    }
    const page = await open(place);
    await page.addInitScript(() => {
      globalThis.hit = () => console.error('a payload ran');
    });
    const sound = async () => {
      const found = await page.evaluate(() => document.querySelectorAll('main img, main script, main iframe, main [onerror], main [onload], main [onmouseover], main [ontoggle], main math, main style, main a[href^="javascript"]').length);
      assert(found === 0, `${found} elements of payloads on ${page.url()}`);
      await page.check();
    };
    for (const [, path] of PAGES) {
      await visit(page, path);
      await sound();
    }
    await visit(page, '/requests');
    const shown = await page.getByRole('main').textContent();
    assert(shown.includes('<img src=x onerror=hit()>'), 'the payload is shown as what it is');
    const ids = (await place.api('records?limit=40')).data.map((record) => record.id);
    for (const id of ids) {
      await visit(page, `/requests/${id}`);
      await sound();
    }
    for (const payload of PAYLOADS) {
      for (const path of ['requests', 'routes', 'providers']) {
        await visit(page, `/${path}/${encodeURIComponent(payload)}`);
        await sound();
      }
      await visit(page, `/requests?model=${encodeURIComponent(payload)}&tag=${encodeURIComponent(payload)}`);
      await sound();
      await visit(page, `/playground?model=${encodeURIComponent(payload)}`);
      await page.getByLabel('Message', { exact: true }).fill(payload);
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByRole('main').getByRole('alert').or(page.locator('.facts-line')).first().waitFor();
      await sound();
    }
    // An answer that is markup: the built-in model says what it was asked.
    await visit(page, '/playground?model=ringway%2Fecho');
    await page.getByLabel('Message', { exact: true }).fill(PAYLOADS.join('\n'));
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.facts-line').waitFor();
    assert((await page.locator('.bubble').last().textContent()).includes(PAYLOADS[0]), 'the echo is shown as text');
    await sound();
    // Errors beside fields.
    await visit(page, '/routes?new=1');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name', { exact: true }).fill(PAYLOADS[0]);
    await dialog.getByLabel('model of target 1').fill(`${PAYLOADS[1]}/${PAYLOADS[2]}`);
    await dialog.getByRole('button', { name: 'Add route' }).click();
    await dialog.getByRole('alert').first().waitFor();
    await sound();
    console.log(`count: ${ids.length} records, ${refused.length} names that the gateway refuses`);
    assert(!(await page.content()).includes(TOKEN), 'the token is on the page');
    await page.done();
    await place.stop();
  });

  await test('a script from the page’s text is forbidden by the policy, not only by luck', async () => {
    const place = await gateway();
    const page = await open(place, { ignore: [/Content Security Policy/] });
    await visit(page, '/overview');
    const ran = await page.evaluate(async () => {
      globalThis.ran = false;
      const script = document.createElement('script');
      script.textContent = 'globalThis.ran = true';
      document.body.append(script);
      const image = document.createElement('div');
      image.innerHTML = '<img src="x" onerror="globalThis.ran = true">';
      document.body.append(image);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return [globalThis.ran, globalThis.__forbidden.length];
    });
    assert(ran[0] === false && ran[1] >= 2, `ran: ${ran[0]}, forbidden: ${ran[1]}`);
    await page.context().close();
    await place.stop();
  });
}
