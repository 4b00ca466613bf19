// The AI SDK over its OpenAI (Responses and chat) and Anthropic providers, each on several of ours.

import assert from "node:assert/strict";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

import * as gateway from "./gateway.mjs";
import { test } from "./gateway.mjs";

const openai = (apiKey = gateway.KEY) => createOpenAI({ apiKey, baseURL: `${gateway.URL}/v1` });
const anthropic = (apiKey = gateway.KEY) => createAnthropic({ apiKey, baseURL: `${gateway.URL}/v1` });

const KINDS = {
  responses: (model, key) => openai(key).responses(model),
  chat: (model, key) => openai(key).chat(model),
  messages: (model, key) => anthropic(key)(model),
};

const PLAIN = { maxRetries: 0, maxOutputTokens: 100 };

for (const [kind, modelOf] of Object.entries(KINDS)) {
  for (const id of [gateway.OPENAI, gateway.CLAUDE, gateway.GEMINI]) {
    const name = (claim) => `ai sdk, ${kind} to ${id}: ${claim}`;
    const model = modelOf(id);

    test(name("a whole answer"), async () => {
      const answer = await generateText({ ...PLAIN, model, prompt: "hello" });
      assert.equal(answer.text, gateway.TEXT);
      assert.equal(answer.finishReason, "stop");
      assert.equal(answer.usage.inputTokens, gateway.TOKENS_IN);
      assert.equal(answer.usage.outputTokens, gateway.TOKENS_OUT);
    });

    test(name("a streamed answer"), async () => {
      const stream = streamText({ ...PLAIN, model, prompt: "hello" });
      const pieces = [];
      for await (const piece of stream.textStream) pieces.push(piece);
      assert.ok(pieces.length > 2);
      assert.equal(pieces.join(""), gateway.TEXT);
      assert.equal(await stream.finishReason, "stop");
    });

    test(name("a tool is called and its result sent"), async () => {
      const seen = [];
      const weather = tool({
        description: "The weather.",
        inputSchema: jsonSchema(gateway.WEATHER),
        execute: (given) => {
          seen.push(given);
          return "sunny";
        },
      });
      // Without it reasoning comes back as a reference to what OpenAI alone has stored.
      const providerOptions = { openai: { store: false } };
      const fields = { ...PLAIN, model, prompt: "use a tool", tools: { weather }, stopWhen: stepCountIs(3), providerOptions };
      assert.equal((await generateText(fields)).text, gateway.TEXT);
      assert.equal(await streamText(fields).text, gateway.TEXT);
      assert.deepEqual(seen, [gateway.WEATHER_ARGUMENTS, gateway.WEATHER_ARGUMENTS]);
    });

    // The Anthropic provider asks for its own models' native output only by their names.
    if (kind !== "messages") {
      test(name("structured output"), async () => {
        const output = Output.object({ schema: jsonSchema(gateway.WEATHER) });
        assert.deepEqual((await generateText({ ...PLAIN, model, prompt: "plan", output })).output, gateway.WEATHER_ARGUMENTS);
      });
    }
  }

  test(`ai sdk, ${kind}: errors are its own exception type`, async () => {
    for (const [id, key, status] of [
      [gateway.OPENAI, "no-such-key-at-all-00", 401],
      ["no-such-model", undefined, 404],
      ["anthropic-429", undefined, 429],
      ["openai-too-long", undefined, 400],
    ]) {
      await assert.rejects(generateText({ ...PLAIN, model: modelOf(id, key), prompt: "hello" }), (error) => {
        assert.ok(APICallError.isInstance(error), `${id}: ${error}`);
        assert.equal(error.statusCode, status, id);
        return true;
      });
    }
  });
}

test("ai sdk: one embedding for each text", async () => {
  for (const id of [gateway.OPENAI, gateway.GEMINI]) {
    const { embeddings } = await embedMany({ model: openai().embedding(id), values: ["a", "b"], maxRetries: 0 });
    assert.deepEqual(embeddings.map((embedding) => embedding.length > 0), [true, true], id);
  }
});
