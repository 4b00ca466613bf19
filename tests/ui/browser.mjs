// Pages in Debian's chromium that tell of every error: scripts that throw, what the policy forbids, dialogs, strange requests.
import { chromium } from 'playwright-core';
import { existsSync } from 'node:fs';

const PATHS = [process.env.CHROMIUM_BIN, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
let shared = null;

export async function browser() {
  const executablePath = PATHS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no chromium here: apt-get install chromium');
  shared ??= await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  return shared;
}
export const close = () => shared?.close();

/** A page of its own; `page.faults` fills with what must not happen. */
export async function open(gateway, { token = gateway.token, width = 1280, height = 800, theme = 'light', ignore = [] } = {}) {
  const context = await (await browser()).newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce', acceptDownloads: true, baseURL: gateway.url });
  if (token) await context.addInitScript((value) => sessionStorage.setItem('ringway-token', value), token);
  await context.addInitScript(() => {
    globalThis.__forbidden = [];
    document.addEventListener('securitypolicyviolation', (event) => globalThis.__forbidden.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.faults = [];
  const note = (text) => ignore.some((known) => known.test(text)) || page.faults.push(text);
  page.on('pageerror', (error) => note(`script: ${error.message}`));
  // A refused request is what some tests ask for; they look at it themselves.
  page.on('console', (message) => message.type() === 'error' && !/Failed to load resource/.test(message.text()) && note(`console: ${message.text()}`));
  page.on('dialog', (dialog) => {
    note(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(gateway.url) && !/^(blob|data):/.test(request.url())) note(`request to ${request.url()}`);
  });
  page.check = async () => {
    page.faults.push(...(await page.evaluate(() => globalThis.__forbidden ?? [])).map((text) => `policy: ${text}`));
    if (page.faults.length) throw new Error(page.faults.join('\n'));
  };
  page.done = async () => {
    await page.check();
    await context.close();
  };
  return page;
}

/** Nothing is loading any more: no request under way, and nothing says so. */
export async function settled(page) {
  await page.waitForLoadState('load');
  await page
    .waitForFunction(() => document.querySelector('h1') && ![...document.querySelectorAll('[role=status]')].some((node) => node.textContent === 'Loading…'))
    .catch(async (error) => {
      throw new Error(`${page.url()} does not settle: ${error.message}\n${(await page.textContent('body')).slice(0, 400)}`);
    });
  await page.waitForTimeout(150);
}

export async function visit(page, path) {
  await page.goto(path);
  await settled(page);
}
