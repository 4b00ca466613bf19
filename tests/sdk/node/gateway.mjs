// Where the gateway is, and what the mock behind it says.

export const URL = process.env.RINGWAY_URL;
export const KEY = process.env.RINGWAY_KEY;
export const NARROW_KEY = process.env.RINGWAY_NARROW_KEY;

export const OPENAI = "openai/mock";
export const CLAUDE = "anthropic/mock";
export const GEMINI = "gemini/mock";
export const ECHO = "ringway/echo";

// `loadtest mock --tokens 8`: eight words, each one token; ten tokens in.
export const TEXT = "word0 word1 word2 word3 word4 word5 word6 word7";
export const TOKENS_IN = 10;
export const TOKENS_OUT = 8;

// One red pixel.
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
// What the mock fills into WEATHER.
export const WEATHER_ARGUMENTS = { city: "text", days: 1 };

const tests = [];

/** Notes a test; `suite.mjs` runs them in order. */
export function test(name, run) {
  tests.push({ name, run });
}

/** Runs all tests, each with its own deadline, and returns how many passed and failed. */
export async function runAll() {
  let passed = 0;
  let failed = 0;
  for (const { name, run } of tests) {
    try {
      await withDeadline(run(), 30_000);
      console.log(`ok     ${name}`);
      passed += 1;
    } catch (error) {
      console.log(`FAILED ${name}\n${error?.stack ?? error}`);
      failed += 1;
    }
  }
  return { passed, failed };
}

async function withDeadline(promise, milliseconds) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${milliseconds} ms`)), milliseconds);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
