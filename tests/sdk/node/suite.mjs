// Runs every test of this directory and closes with `N passed, M failed`.

import "./openai.mjs";
import "./anthropic.mjs";
import "./genai.mjs";
import "./ai.mjs";
import { runAll } from "./gateway.mjs";

const { passed, failed } = await runAll();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
