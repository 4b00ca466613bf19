// Every page, light and dark, at a desk and on a phone: axe finds no serious fault, nothing is wider than the screen; shots.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { open, visit } from './browser.mjs';
import { assert, test } from './harness.mjs';
import { OPEN_PAGES, PAGES } from './pages.mjs';
import { scene } from './scene.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = process.env.UI_SHOTS;
const SIZES = [
  ['desk', 1280, 800],
  ['phone', 360, 740],
];

async function faults(page) {
  // Run in the page by the debugger, which the page's policy does not concern.
  await page.evaluate(AXE);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((violation) => ['serious', 'critical'].includes(violation.impact))
    .map((violation) => `${violation.id} (${violation.impact}): ${violation.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
}

const wide = (page) =>
  page.evaluate(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return null;
    const beyond = [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll'));
    return `${document.documentElement.scrollWidth} px: ${beyond.slice(0, 3).map((node) => node.outerHTML.slice(0, 120)).join(' | ')}`;
  });

const DIALOGS = [
  ['new-provider', '/providers?new=1'],
  ['new-route', '/routes?new=1'],
  ['new-key', '/keys?new=1'],
  ['new-team', '/teams?new=1'],
];

export async function run() {
  const place = await scene();
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  for (const [size, width, height] of SIZES) {
    for (const theme of ['light', 'dark']) {
      await test(`no serious fault of accessibility and nothing too wide: ${size}, ${theme}`, async () => {
        const found = [];
        const look = async (page, name, path) => {
          await visit(page, path);
          for (const fault of await faults(page)) found.push(`${path}: ${fault}`);
          const alert = page.getByRole('main').getByRole('alert').filter({ hasText: /./ });
          if (page.wantsData && (await alert.count())) found.push(`${path} shows an error: ${await alert.first().textContent()}`);
          const over = await wide(page);
          if (over) found.push(`${path} is too wide: ${over}`);
          if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}-${size}-${theme}.png`), fullPage: true });
        };
        const page = await open(place, { width, height, theme });
        page.wantsData = true;
        for (const [name, path] of [...PAGES, ...DIALOGS]) await look(page, name, path);
        const id = (await place.api('records?asked=shaky&limit=1')).data[0].id;
        await look(page, 'request', `/requests/${id}`);
        if (size === 'phone') {
          await visit(page, '/overview');
          await page.getByRole('button', { name: 'Menu' }).click();
          for (const fault of await faults(page)) found.push(`menu: ${fault}`);
          if (SHOTS) await page.screenshot({ path: join(SHOTS, `menu-${size}-${theme}.png`) });
        }
        await page.done();
        const stranger = await open(place, { width, height, theme, token: null });
        for (const [name, path] of OPEN_PAGES) await look(stranger, name, path);
        await stranger.done();
        assert(found.length === 0, found.join('\n'));
      });
    }
  }
  await place.stop();
}
