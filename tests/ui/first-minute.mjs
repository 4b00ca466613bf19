// From nothing to a first answered request in under a minute: the link of the start, a provider, a test call, an answer.
import { open, settled } from './browser.mjs';
import { gateway, mock, until } from './gateway.mjs';
import { assert, test } from './harness.mjs';

const MINUTE_MS = 60_000;
const PASSWORD = 'four words that rhyme not';

export async function run() {
  await test('a new gateway leads from its link to an answered request in under a minute', async () => {
    const upstream = await mock();
    const place = await gateway({ token: null });
    const began = Date.now();
    const link = await until('the start prints a one-time link', async () => /\/start\?link=[\w-]+/.exec(place.text())?.[0]);
    const page = await open(place, { token: null });
    await page.goto(link);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByLabel('Once more').fill(PASSWORD);
    await page.getByRole('button', { name: 'Set the password' }).click();

    await page.getByRole('heading', { name: 'First steps' }).waitFor();
    await page.getByRole('main').getByRole('link', { name: 'Add a provider' }).click();
    await page.getByLabel('Search').fill('openai');
    await page.getByRole('button', { name: /^openai / }).first().click();
    await page.getByRole('button', { name: 'Add credential to Credentials' }).click();
    await page.getByLabel('value of credential 1').fill('upstream-key-of-the-mock');
    await page.getByLabel('Base URL').fill(`${upstream}/v1`);
    await page.getByRole('button', { name: 'Add provider' }).click();

    const dialog = page.getByRole('dialog', { name: 'Test openai' });
    await dialog.getByLabel('Model').fill('gpt-4.1');
    await dialog.getByRole('button', { name: 'Call' }).click();
    await dialog.getByText('It answers.').waitFor();
    await dialog.getByRole('link', { name: 'Open the playground' }).click();

    await settled(page);
    await page.getByLabel('Message', { exact: true }).fill('hello');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.bubble', { hasText: 'word0 word1' }).waitFor();
    await page.getByText(/first token/).waitFor();
    const took = Date.now() - began;
    console.log(`count: ${(took / 1000).toFixed(1)} s from the link to the answer`);
    assert(took < MINUTE_MS, `it took ${took} ms`);

    await page.getByRole('link', { name: 'Requests' }).click();
    await page.getByText('openai/gpt-4.1').first().waitFor();
    await page.getByRole('link', { name: 'Overview' }).first().click();
    await page.getByText('Make a key for an application').waitFor();
    await page.done();

    const again = await open(place, { token: null });
    await again.goto(link);
    await again.getByLabel('Password').fill(PASSWORD);
    await again.getByLabel('Once more').fill(PASSWORD);
    await again.getByRole('button', { name: 'Set the password' }).click();
    await again.getByRole('alert').first().waitFor();
    await again.goto('/keys');
    await again.getByLabel('User').fill('owner');
    await again.getByLabel('Password').fill(`${PASSWORD}!`);
    await again.getByRole('button', { name: 'Log in' }).click();
    await again.getByRole('alert').first().waitFor();
    await again.getByLabel('Password').fill(PASSWORD);
    await again.getByRole('button', { name: 'Log in' }).click();
    await again.getByRole('heading', { name: 'Keys' }).waitFor();
    await again.getByRole('button', { name: 'Log out' }).click();
    await again.getByRole('button', { name: 'Log in' }).waitFor();
    await again.done();
    await place.stop();
  });
}
