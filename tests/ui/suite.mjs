// The web UI of a real gateway in a real browser. `suite.mjs PART…` runs some parts alone.
import { close } from './browser.mjs';
import { killAll } from './gateway.mjs';
import { finish } from './harness.mjs';

const PARTS = ['first-minute', 'acts', 'markup', 'access', 'keyboard'];
const wanted = process.argv.slice(2);
for (const part of PARTS) {
  if (wanted.length && !wanted.includes(part)) continue;
  console.log(`# ${part}`);
  const { run } = await import(`./${part}.mjs`);
  await run();
}
await close();
killAll();
finish();
