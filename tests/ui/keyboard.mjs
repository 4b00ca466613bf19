// Without a mouse: the skip link, visible focus on every stop, dialogs that keep the focus, close by Esc and give it back.
import { open, settled, visit } from './browser.mjs';
import { assert, test } from './harness.mjs';
import { gateway } from './gateway.mjs';
import { CONFIG } from './scene.mjs';

const STOPS_MAX = 60;

const here = (page) =>
  page.evaluate(() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    return { text: (node.getAttribute('aria-label') ?? node.textContent ?? '').trim().slice(0, 60), tag: node.tagName, id: node.id, inDialog: Boolean(node.closest('dialog')), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
  });

export async function run() {
  const place = await gateway({ config: CONFIG });

  await test('the first stop skips to the content, and every stop shows where it is', async () => {
    const page = await open(place);
    for (const path of ['/overview', '/keys', '/routes', '/settings', '/playground']) {
      await visit(page, path);
      await page.keyboard.press('Tab');
      const first = await here(page);
      assert(first.text === 'Skip to the content', JSON.stringify(first));
      await page.keyboard.press('Enter');
      assert((await here(page)).id === 'main', 'the focus is at the content');
      await page.evaluate(() => document.activeElement.blur());
      for (let stop = 0; stop < STOPS_MAX; stop += 1) {
        await page.keyboard.press('Tab');
        const at = await here(page);
        if (at.tag === 'BODY') break;
        assert(at.outline, `no outline on ${JSON.stringify(at)} of ${path}`);
      }
    }
    await page.done();
  });

  await test('a dialog opens, keeps the focus, closes by Esc and gives the focus back', async () => {
    const page = await open(place);
    await visit(page, '/routes');
    const opener = page.getByRole('button', { name: 'Add route', exact: true });
    await opener.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'New route' }).waitFor();
    for (let stop = 0; stop < STOPS_MAX; stop += 1) {
      await page.keyboard.press('Tab');
      const at = await here(page);
      // Between two rounds the focus may stand on the browser's own controls, never on the page below.
      assert(at.inDialog || at.tag === 'BODY', `the focus left the dialog: ${JSON.stringify(at)}`);
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert((await here(page)).text === 'Add route', 'the focus is back');
    await page.done();
  });

  await test('a key is made without a mouse', async () => {
    const page = await open(place);
    await visit(page, '/keys');
    await page.getByRole('button', { name: 'Add key', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'New key' }).getByLabel('Name', { exact: true }).focus();
    await page.keyboard.type('typed');
    await page.keyboard.press('Enter');
    await page.locator('.secret-text').waitFor();
    await page.keyboard.press('Escape');
    await settled(page);
    await page.getByRole('link', { name: 'typed' }).waitFor();
    await page.done();
  });

  await test('the theme follows the system until it is chosen, and the choice stays', async () => {
    const page = await open(place, { theme: 'dark' });
    await visit(page, '/overview');
    const now = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert((await now()) === 'dark', 'as the system');
    await page.getByLabel('Theme').selectOption('light');
    assert((await now()) === 'light', 'as chosen');
    await page.reload();
    await settled(page);
    assert((await now()) === 'light', 'it stays');
    await page.getByLabel('Theme').selectOption('system');
    assert((await now()) === 'dark', 'and goes back');
    await page.done();
  });

  await place.stop();
}
