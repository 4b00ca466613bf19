// The Anthropic SDK: Messages on both providers, its own exception types.

import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";

import * as gateway from "./gateway.mjs";
import { test } from "./gateway.mjs";

const client = (apiKey = gateway.KEY) => new Anthropic({ apiKey, baseURL: gateway.URL, maxRetries: 0, timeout: 20_000 });
const user = (content) => [{ role: "user", content }];
const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");

const TOOL = { name: "weather", description: "The weather.", input_schema: gateway.WEATHER };

for (const model of [gateway.CLAUDE, gateway.OPENAI]) {
  const name = (claim) => `anthropic sdk, ${model}: ${claim}`;
  const fieldsOf = (fields) => ({ model, max_tokens: 100, messages: user("hello"), ...fields });
  const create = (fields = {}) => client().messages.create(fieldsOf(fields));
  const stream = (fields = {}) => client().messages.stream(fieldsOf(fields));

  test(name("a whole answer"), async () => {
    const message = await create();
    assert.equal(textOf(message), gateway.TEXT);
    assert.equal(message.stop_reason, "end_turn");
    assert.equal(message.usage.input_tokens, gateway.TOKENS_IN);
    assert.equal(message.usage.output_tokens, gateway.TOKENS_OUT);
  });

  test(name("a streamed answer"), async () => {
    const kinds = [];
    for await (const event of await create({ stream: true })) if (event.type !== "ping") kinds.push(event.type);
    assert.deepEqual(kinds.slice(0, 2), ["message_start", "content_block_start"]);
    assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
    const message = await stream().finalMessage();
    assert.equal(textOf(message), gateway.TEXT);
    assert.equal(message.usage.output_tokens, gateway.TOKENS_OUT);
  });

  test(name("one tool call and its result"), async () => {
    const message = await create({ messages: user("use a tool"), tools: [TOOL] });
    assert.equal(message.stop_reason, "tool_use");
    const [call] = callsOf(message);
    assert.deepEqual(call.input, gateway.WEATHER_ARGUMENTS);
    const result = { type: "tool_result", tool_use_id: call.id, content: "sunny" };
    const messages = [...user("use a tool"), { role: "assistant", content: message.content }, ...user([result])];
    assert.equal(textOf(await create({ messages, tools: [TOOL] })), gateway.TEXT);
  });

  test(name("parallel tool calls, whole and streamed"), async () => {
    const fields = { messages: user("use tools"), tools: [TOOL] };
    for (const message of [await create(fields), await stream(fields).finalMessage()]) {
      const calls = callsOf(message);
      assert.deepEqual(calls.map((call) => call.input), [gateway.WEATHER_ARGUMENTS, gateway.WEATHER_ARGUMENTS]);
      assert.equal(new Set(calls.map((call) => call.id)).size, 2);
    }
  });

  test(name("an image in, system blocks with cache marks"), async () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: gateway.PNG } };
    const system = [{ type: "text", text: "be kind", cache_control: { type: "ephemeral" } }];
    const message = await create({ system, messages: user([image, { type: "text", text: "describe" }]) });
    assert.match(textOf(message), /images=1 system_chars=7/);
  });

  test(name("a conversation with signed thinking goes on"), async () => {
    const content = [
      { type: "thinking", thinking: "A tool will know.", signature: "bW9jay1zaWduYXR1cmU=" },
      { type: "tool_use", id: "toolu_01", name: "weather", input: { city: "x", days: 1 } },
    ];
    const result = { type: "tool_result", tool_use_id: "toolu_01", content: [{ type: "text", text: "sunny" }] };
    const messages = [...user("hello"), { role: "assistant", content }, ...user([result])];
    assert.equal(textOf(await create({ messages, tools: [TOOL] })), gateway.TEXT);
  });

  test(name("tokens are counted"), async () => {
    const count = await client().messages.countTokens({ model, messages: user("hello there"), tools: [TOOL] });
    assert.ok(count.input_tokens > 0);
  });
}

test("anthropic sdk: thinking, whole and streamed", async () => {
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const fields = { model: gateway.CLAUDE, max_tokens: 2000, thinking, messages: user("hello") };
  for (const message of [await client().messages.create(fields), await client().messages.stream(fields).finalMessage()]) {
    assert.deepEqual(message.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(message.content[0].thinking, "The user asked, so I think.");
    assert.ok(message.content[0].signature);
  }
});

test("anthropic sdk: models are listed", async () => {
  const ids = [];
  for await (const model of client().models.list()) ids.push(model.id);
  assert.ok(ids.includes(gateway.ECHO), ids.join(" "));
});

test("anthropic sdk: echo answers with the question", async () => {
  const message = await client().messages.create({ model: gateway.ECHO, max_tokens: 100, messages: user("is anybody there?") });
  assert.equal(textOf(message), "is anybody there?");
});

function raises(kind, status, type, fields, key) {
  return assert.rejects(client(key).messages.create({ model: gateway.CLAUDE, max_tokens: 100, messages: user("hello"), ...fields }), (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    assert.equal(error.status, status);
    assert.equal(error.error?.error?.type, type);
    return true;
  });
}

test("anthropic sdk: errors are its own exception types", async () => {
  await raises(Anthropic.AuthenticationError, 401, "authentication_error", {}, "no-such-key-at-all-00");
  await raises(Anthropic.PermissionDeniedError, 403, "permission_error", {}, gateway.NARROW_KEY);
  await raises(Anthropic.NotFoundError, 404, "not_found_error", { model: "no-such-model" });
  await raises(Anthropic.BadRequestError, 400, "invalid_request_error", { max_tokens: "many" });
});

for (const provider of ["openai", "anthropic"]) {
  test(`anthropic sdk: faults of ${provider} are its own exception types`, async () => {
    await raises(Anthropic.RateLimitError, 429, "rate_limit_error", { model: `${provider}-429` });
    await raises(Anthropic.InternalServerError, 502, "api_error", { model: `${provider}-500` });
    await raises(Anthropic.InternalServerError, 502, "api_error", { model: `${provider}-401` });
    await raises(Anthropic.BadRequestError, 400, "invalid_request_error", { model: `${provider}-too-long` });
    await raises(Anthropic.BadRequestError, 400, "invalid_request_error", { model: `${provider}-filtered` });
  });

  for (const break_ of ["inband", "cut"]) {
    test(`anthropic sdk: a stream that ${provider} breaks (${break_}) raises`, async () => {
      let text = "";
      await assert.rejects(async () => {
        const fields = { model: `${provider}-${break_}`, max_tokens: 100, messages: user("hello"), stream: true };
        for await (const event of await client().messages.create(fields)) {
          if (event.type === "content_block_delta") text += event.delta.text ?? "";
        }
      }, Anthropic.APIError);
      assert.equal(text, "word0 word1 word2");
    });
  }
}
