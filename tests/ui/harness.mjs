// Named tests one after the other, and the closing line that tests/run counts.
const failed = [];
let passed = 0;

export async function test(name, act) {
  const began = Date.now();
  try {
    await act();
    passed += 1;
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed.push(name);
    console.log(`FAIL ${name} (${Date.now() - began} ms)\n     ${String(error.stack ?? error).split('\n').slice(0, 12).join('\n     ')}`);
  }
}

export function finish() {
  for (const name of failed) console.log(`failed: ${name}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exitCode = failed.length ? 1 : 0;
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}
