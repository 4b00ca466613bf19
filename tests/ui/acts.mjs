// The main act of every page, on a gateway with objects of the file and of the store.
import { open, settled, visit } from './browser.mjs';
import { mock, until } from './gateway.mjs';
import { assert, test } from './harness.mjs';
import { KEY, SECRETS, scene } from './scene.mjs';

const SECRET = 'a-credential-that-no-page-shows';

export async function run() {
  const place = await scene();
  const page = await open(place);
  const act = (name, what) =>
    test(name, async () => {
      await what();
      await page.check();
      const text = await page.content();
      for (const secret of [...SECRETS, SECRET, place.token]) assert(!text.includes(secret), `a secret is on ${page.url()}`);
    });
  const button = (name, within = page) => within.getByRole('button', { name, exact: true });
  const main = page.getByRole('main');
  const dialog = (name) => page.getByRole('dialog', { name });

  await act('overview shows traffic, by provider, and leads to its requests', async () => {
    await visit(page, '/overview?range=15m');
    // The log is a moment behind the traffic; the page looks again by itself.
    await until('all requests are counted', async () => Number((await main.locator('.tile dd').first().textContent()).replace(/\D.*$/, '')) >= 18);
    assert((await page.locator('.plot canvas').count()) === 6, 'six plots');
    await page.getByLabel('By', { exact: true }).selectOption('provider');
    await main.getByRole('table').getByRole('link', { name: 'anthropic' }).click();
    assert(new URL(page.url()).searchParams.get('provider') === 'anthropic', page.url());
    await page.getByText('shaky').first().waitFor();
  });

  await act('requests are filtered by the address, tailed live, and told one by one', async () => {
    await visit(page, '/requests?status=5xx');
    const rows = main.getByRole('table').locator('tbody tr');
    assert((await rows.count()) >= 1, 'a 5xx is in the log');
    for (const text of await rows.allTextContents()) assert(/50\d|gone/.test(text), text);
    await visit(page, '/requests');
    await button('Live tail').click();
    await button('Live').waitFor();
    await place.chat('chat-large', { key: KEY, tags: 'env=tail' });
    await page.getByText('env=tail').first().waitFor({ timeout: 5000 });
    await visit(page, '/requests?asked=shaky');
    await main.getByRole('table').locator('tbody tr a').first().click();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    await page.locator('.timeline').getByText('openai/fault-500-always').waitFor();
    await page.getByText('anthropic/claude-sonnet-4-5').first().waitFor();
    await page.getByText('log_bodies').waitFor();
  });

  await act('a provider is tested, added, changed and deleted; one of the file is read-only', async () => {
    await visit(page, '/providers/openai');
    await page.getByText(/read-only/).waitFor();
    assert((await button('Change').count()) === 0 && (await button('Delete').count()) === 0, 'no buttons to change it');
    await button('Test call').click();
    await button('Call', dialog('Test openai')).click();
    await dialog('Test openai').getByText('It answers.').waitFor();
    await page.keyboard.press('Escape');
    await visit(page, '/providers?new=1');
    await page.getByRole('button', { name: /A server of your own/ }).click();
    await page.getByLabel('Name', { exact: true }).fill('vllm');
    await page.getByLabel('Base URL').fill('http://127.0.0.1:9/v1');
    await button('Add provider').click();
    await dialog('Test vllm').getByLabel('Model').fill('any');
    await button('Call', dialog('Test vllm')).click();
    await dialog('Test vllm').getByText('It does not answer as it should.').waitFor();
    await page.keyboard.press('Escape');
    await button('Delete').click();
    await button('Delete', dialog('Delete provider vllm?')).click();
    await page.getByText('provider vllm is deleted').waitFor();
    await visit(page, '/providers?new=1');
    await page.getByRole('button', { name: /A server of your own/ }).click();
    await page.getByLabel('Name', { exact: true }).fill('own');
    await page.getByLabel('Base URL').fill(`${await mock()}/v1`);
    await button('Add credential to Credentials').click();
    await page.getByLabel('value of credential 1').fill(SECRET);
    await button('Add provider').click();
    await page.getByRole('dialog', { name: 'Test own' }).waitFor();
    await page.keyboard.press('Escape');
    await button('Change').click();
    await page.getByPlaceholder(/kept as it is/).waitFor();
    await dialog('Change provider own').getByLabel('Models that it serves').fill('gpt-4.1');
    await button('Save', dialog('Change provider own')).click();
    await page.getByText('provider own is saved').last().waitFor();
    assert((await place.chat('own/gpt-4.1', { key: KEY })).status === 200, 'its credential was kept');
  });

  await act('the catalog is searched and a price of one’s own is set', async () => {
    await visit(page, '/models?view=catalog&search=gpt-4.1-mini');
    await page.getByRole('button', { name: /Set price of/ }).first().click();
    const form = dialog('A price of your own');
    await form.getByLabel('Model').fill('gpt-4.1');
    await form.getByLabel('Provider').selectOption('own');
    await form.getByLabel('Input').fill('1.25');
    await form.getByLabel('Output').fill('5');
    await button('Save', form).click();
    await page.getByText('own/gpt-4.1 has its own price').waitFor();
    const spec = (await place.api('providers/own')).spec;
    const entry = spec.models.find((model) => model.name === 'gpt-4.1');
    assert(String(entry.price.input) === '1.25', JSON.stringify(spec));
  });

  await act('a route is drawn, made with its faults beside its fields, explained and changed', async () => {
    await visit(page, '/routes/chat-large');
    const drawing = page.getByRole('img', { name: /chat-large leads to openai\/gpt-4.1 \(75 %\)/ });
    await drawing.waitFor();
    await page.getByLabel('Key', { exact: true }).selectOption('mobile');
    await button('Explain').click();
    await page.locator('.explanation').waitFor();
    assert((await page.locator('.explanation').textContent()).includes('openai'), 'the explanation names a target');
    await visit(page, '/routes');
    await page.getByRole('button', { name: 'Add route', exact: true }).click();
    const form = dialog('New route');
    await form.getByLabel('Name', { exact: true }).fill('made-here');
    await form.getByLabel('model of target 1').fill('no-such-provider/x');
    await button('Add route', form).click();
    await form.locator('.fault').first().waitFor();
    await form.getByLabel('model of target 1').fill('openai/gpt-4.1');
    await button('Check', form).click();
    await form.getByText('It is valid.').waitFor();
    await button('Add route', form).click();
    await page.getByRole('heading', { name: 'made-here' }).waitFor();
    await button('Change').click();
    await dialog('Change route made-here').getByLabel('Strategy').selectOption('cheapest');
    await button('Save', dialog('Change route made-here')).click();
    await page.getByText('route made-here is saved').first().waitFor();
    await page.locator('.badge', { hasText: 'cheapest' }).waitFor();
    assert((await place.chat('made-here', { key: KEY })).status === 200, 'the route answers');
  });

  await act('a key is made, its secret is shown once and works, and it is rotated', async () => {
    await visit(page, '/keys');
    await page.getByRole('button', { name: 'Add key', exact: true }).click();
    const form = dialog('New key');
    await form.getByLabel('Name', { exact: true }).fill('made-here');
    await form.getByLabel('Team').fill('apps');
    await button('Add limit to Rate limits', form).click();
    await form.getByLabel('amount of limit 1').fill('100');
    await button('Add budget to Budgets', form).click();
    await form.getByLabel('amount of budget 1').fill('12.50');
    await button('Add key', form).click();
    const shown = dialog('The secret of made-here');
    const secret = await shown.locator('.secret-text').textContent();
    assert(/^rw-[\w-]{16,}$/.test(secret), secret);
    assert((await place.chat('openai/gpt-4.1', { key: secret })).status === 200, 'the secret works at once');
    await button('Done', shown).click();
    await settled(page);
    assert(!(await page.content()).includes(secret), 'the secret is still on the page');
    await page.getByRole('img', { name: /of \$12\.50 used/ }).waitFor();
    await button('Rotate made-here').click();
    await dialog('Rotate made-here').getByLabel('The old secret works for').selectOption('0s');
    await button('Rotate', dialog('Rotate made-here')).click();
    const fresh = await shown.locator('.secret-text').textContent();
    assert(fresh !== secret && (await place.chat('openai/gpt-4.1', { key: fresh })).status === 200, 'the new secret works');
    assert((await place.chat('openai/gpt-4.1', { key: secret })).status === 401, 'the old one works no longer');
    await button('Done', shown).click();
  });

  await act('a team and a customer get budgets', async () => {
    await visit(page, '/teams');
    await button('Add customer').first().click();
    await dialog('New customer').getByLabel('Name', { exact: true }).fill('acme');
    await button('Add budget to Budgets', dialog('New customer')).click();
    await dialog('New customer').getByLabel('amount of budget 1').fill('5000');
    await button('Add customer', dialog('New customer')).click();
    await page.getByText('customer acme is saved').waitFor();
    await button('Add team').first().click();
    await dialog('New team').getByLabel('Name', { exact: true }).fill('web');
    await dialog('New team').getByLabel('Customer').fill('acme');
    await button('Add team', dialog('New team')).click();
    await page.getByText('team web is saved').waitFor();
    await page.getByRole('img', { name: /of \$5000\.00 used/ }).waitFor();
  });

  await act('the playground streams an answer and shows what it cost', async () => {
    await visit(page, '/playground?model=openai%2Fgpt-4.1');
    await page.getByLabel('Message', { exact: true }).fill('hello');
    await page.keyboard.press('Control+Enter');
    await page.locator('.bubble', { hasText: 'word0 word1' }).waitFor();
    await page.locator('.cost', { hasText: '$' }).waitFor();
    await page.getByRole('link', { name: 'its record' }).click();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    await visit(page, '/playground?model=openai%2Ffault-401');
    await page.getByLabel('Message', { exact: true }).fill('hello');
    await button('Send').click();
    await main.getByRole('alert').waitFor();
  });

  await act('a revision is shown with its difference and reverted', async () => {
    await visit(page, '/settings/revisions');
    const newest = main.getByRole('table').locator('tbody tr', { hasText: 'web' }).first();
    await newest.getByRole('button').click();
    await page.getByRole('region', { name: 'Difference' }).first().waitFor();
    await button('Revert this change').click();
    await button('Revert').click();
    await page.getByText(/is reverted/).waitFor();
    const teams = (await place.api('teams')).data.map((team) => team.name);
    assert(!teams.includes('web'), teams.join());
  });

  await act('the store is exported and applied', async () => {
    await visit(page, '/settings/export');
    const text = await main.locator('pre').first().textContent();
    assert(text.includes('made-here') && !text.includes(SECRET), text);
    await page.getByLabel('Objects, as YAML').fill('aliases:\n  quick: openai/gpt-4.1-mini\n');
    await button('Check').click();
    await page.getByText('It is valid.').waitFor();
    await button('Apply').click();
    await page.getByText('the objects are applied').waitFor();
    await visit(page, '/routes');
    await page.getByText('quick').waitFor();
  });

  await act('a user and an API token are made, and the token is shown once', async () => {
    await visit(page, '/settings/users');
    await button('Add user').first().click();
    await page.getByLabel('Name', { exact: true }).fill('bo');
    await page.getByLabel('Password').fill('some words of an evening');
    await button('Save').click();
    await page.getByText('user bo is saved').waitFor();
    await visit(page, '/settings/tokens');
    await button('Make a token').first().click();
    await page.getByLabel('Name', { exact: true }).fill('ci');
    await button('Make').click();
    const token = await page.locator('.secret-text').textContent();
    await button('Done').click();
    const viewer = await open(place, { token });
    await visit(viewer, '/keys');
    assert((await viewer.getByRole('button', { name: 'Add key', exact: true }).count()) === 0, 'a viewer is offered no change');
    await viewer.done();
  });

  await act('the settings in force are shown', async () => {
    await visit(page, '/settings');
    await page.getByRole('heading', { name: 'In force' }).waitFor();
  });

  await act('an alert is tested, its receiver gets a signed message, and its history tells so', async () => {
    await visit(page, '/alerts');
    await page.getByText('errors of providers or of the gateway').waitFor();
    await button('Test too-many-errors').click();
    await page.getByText('The test of too-many-errors has arrived.').waitFor();
    const told = place.posts.at(-1);
    assert(told && /^t=\d+,v1=[0-9a-f]{64}$/.test(told.signature), JSON.stringify(place.posts));
    await button('History of too-many-errors').click();
    await dialog('History of too-many-errors').getByText('on-call: taken').first().waitFor();
    await page.keyboard.press('Escape');
  });

  await act('the audit log tells of it all, and its chain is whole', async () => {
    await visit(page, '/audit');
    await page.getByText('PUT keys/made-here').first().waitFor();
    await button('Verify').click();
    await page.getByText('The chain is whole.').waitFor();
  });

  await page.done();
  await place.stop();
}
