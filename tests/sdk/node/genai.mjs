// The Google Gen AI SDK: its own provider and the others, embeddings, its own exception type.

import assert from "node:assert/strict";

import { ApiError, GoogleGenAI } from "@google/genai";

import * as gateway from "./gateway.mjs";
import { test } from "./gateway.mjs";

const client = (apiKey = gateway.KEY) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: gateway.URL, timeout: 20_000 } });
const TOOLS = [{ functionDeclarations: [{ name: "weather", description: "The weather.", parametersJsonSchema: gateway.WEATHER }] }];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

for (const model of [gateway.GEMINI, gateway.OPENAI, gateway.CLAUDE]) {
  const name = (claim) => `genai sdk, ${model}: ${claim}`;
  const generate = (contents, config = {}) => client().models.generateContent({ model, contents, config });

  test(name("a whole answer"), async () => {
    const answer = await generate("hello");
    assert.equal(answer.text, gateway.TEXT);
    assert.equal(answer.candidates[0].finishReason, "STOP");
    assert.equal(answer.usageMetadata.promptTokenCount, gateway.TOKENS_IN);
    assert.equal(answer.usageMetadata.candidatesTokenCount, gateway.TOKENS_OUT);
  });

  test(name("a streamed answer"), async () => {
    const chunks = await collect(await client().models.generateContentStream({ model, contents: "hello" }));
    assert.ok(chunks.length > 2);
    assert.equal(chunks.map((chunk) => chunk.text ?? "").join(""), gateway.TEXT);
    assert.equal(chunks.at(-1).candidates[0].finishReason, "STOP");
    assert.equal(chunks.at(-1).usageMetadata.candidatesTokenCount, gateway.TOKENS_OUT);
  });

  test(name("one tool call and its result"), async () => {
    const answer = await generate("use a tool", { tools: TOOLS });
    const [call] = answer.functionCalls;
    assert.equal(call.name, "weather");
    assert.deepEqual(call.args, gateway.WEATHER_ARGUMENTS);
    const contents = [
      { role: "user", parts: [{ text: "use a tool" }] },
      answer.candidates[0].content,
      { role: "user", parts: [{ functionResponse: { id: call.id, name: call.name, response: { result: "sunny" } } }] },
    ];
    assert.equal((await generate(contents, { tools: TOOLS })).text, gateway.TEXT);
  });

  test(name("streamed parallel tool calls"), async () => {
    const stream = await client().models.generateContentStream({ model, contents: "use tools", config: { tools: TOOLS } });
    const calls = (await collect(stream)).flatMap((chunk) => chunk.functionCalls ?? []);
    assert.deepEqual(calls.map((call) => call.args), [gateway.WEATHER_ARGUMENTS, gateway.WEATHER_ARGUMENTS]);
  });

  test(name("structured output"), async () => {
    const answer = await generate("plan", { responseMimeType: "application/json", responseJsonSchema: gateway.WEATHER });
    assert.deepEqual(JSON.parse(answer.text), gateway.WEATHER_ARGUMENTS);
  });

  test(name("an image and a system instruction in"), async () => {
    const contents = [{ inlineData: { data: gateway.PNG, mimeType: "image/png" } }, { text: "describe" }];
    const { text } = await generate(contents, { systemInstruction: "be kind" });
    assert.match(text, /images=1/);
    assert.match(text, /system_chars=7/);
  });
}

test("genai sdk: one embedding for each text", async () => {
  for (const model of [gateway.GEMINI, gateway.OPENAI]) {
    const { embeddings } = await client().models.embedContent({ model, contents: ["a", "b"] });
    assert.deepEqual(embeddings.map((embedding) => embedding.values.length > 0), [true, true], model);
  }
});

test("genai sdk: errors are its own exception type", async () => {
  for (const [model, key, status] of [
    [gateway.GEMINI, "no-such-key-at-all-00", 401],
    [gateway.GEMINI, gateway.NARROW_KEY, 403],
    ["no-such-model", undefined, 404],
    ["anthropic-too-long", undefined, 400],
    ["gemini-429", undefined, 429],
  ]) {
    await assert.rejects(client(key).models.generateContent({ model, contents: "hello" }), (error) => {
      assert.ok(error instanceof ApiError, `${model}: ${error}`);
      assert.equal(error.status, status, model);
      return true;
    });
  }
});
