// The OpenAI SDK: chat and Responses on both providers, its own exception types.

import assert from "node:assert/strict";

import OpenAI from "openai";

import * as gateway from "./gateway.mjs";
import { test } from "./gateway.mjs";

const client = (apiKey = gateway.KEY) => new OpenAI({ apiKey, baseURL: `${gateway.URL}/v1`, maxRetries: 0, timeout: 20_000 });
const user = (content) => [{ role: "user", content }];

const TOOL = { type: "function", function: { name: "weather", description: "The weather.", parameters: gateway.WEATHER } };
const RESPONSES_TOOL = { type: "function", name: "weather", parameters: gateway.WEATHER, strict: true };
const SCHEMA = { name: "forecast", schema: gateway.WEATHER, strict: true };

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

for (const model of [gateway.OPENAI, gateway.CLAUDE]) {
  const name = (claim) => `openai sdk, ${model}: ${claim}`;
  const create = (fields = {}) => client().chat.completions.create({ model, messages: user("hello"), ...fields });

  test(name("a whole answer"), async () => {
    const answer = await create();
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].message.content, gateway.TEXT);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.prompt_tokens, gateway.TOKENS_IN);
    assert.equal(answer.usage.completion_tokens, gateway.TOKENS_OUT);
  });

  test(name("a streamed answer, without usage unasked"), async () => {
    const chunks = await collect(await create({ stream: true }));
    assert.equal(textOf(chunks), gateway.TEXT);
    assert.ok(chunks.every((chunk) => !chunk.usage));
    assert.equal(chunks.filter((chunk) => chunk.choices.length > 0).at(-1).choices[0].finish_reason, "stop");
  });

  test(name("streamed usage when asked for"), async () => {
    const chunks = await collect(await create({ stream: true, stream_options: { include_usage: true } }));
    assert.equal(chunks.filter((chunk) => chunk.usage).length, 1);
    assert.equal(chunks.at(-1).usage.completion_tokens, gateway.TOKENS_OUT);
    assert.deepEqual(chunks.at(-1).choices, []);
  });

  test(name("the stream helper folds a stream"), async () => {
    const completion = await client().chat.completions.stream({ model, messages: user("hello") }).finalChatCompletion();
    assert.equal(completion.choices[0].message.content, gateway.TEXT);
  });

  test(name("one tool call and its result"), async () => {
    const answer = await create({ messages: user("use a tool"), tools: [TOOL] });
    const { message } = answer.choices[0];
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), gateway.WEATHER_ARGUMENTS);
    const messages = [...user("use a tool"), message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "sunny" }];
    assert.equal((await create({ messages, tools: [TOOL] })).choices[0].message.content, gateway.TEXT);
  });

  test(name("parallel tool calls, whole and streamed"), async () => {
    const fields = { messages: user("use tools"), tools: [TOOL] };
    const whole = (await create(fields)).choices[0].message.tool_calls;
    const streamed = (await client().chat.completions.stream({ model, ...fields }).finalChatCompletion()).choices[0].message.tool_calls;
    for (const calls of [whole, streamed]) {
      assert.equal(new Set(calls.map((call) => call.id)).size, 2);
      for (const call of calls) assert.deepEqual(JSON.parse(call.function.arguments), gateway.WEATHER_ARGUMENTS);
    }
  });

  test(name("the tool runner"), async () => {
    const seen = [];
    const run = (given) => {
      seen.push(given);
      return "sunny";
    };
    const tool = { type: "function", function: { ...TOOL.function, parse: JSON.parse, function: run } };
    const runner = client().chat.completions.runTools({ model, messages: user("use a tool"), tools: [tool] });
    assert.equal(await runner.finalContent(), gateway.TEXT);
    assert.deepEqual(seen, [gateway.WEATHER_ARGUMENTS]);
  });

  test(name("an image in"), async () => {
    const image = { type: "image_url", image_url: { url: `data:image/png;base64,${gateway.PNG}` } };
    const answer = await create({ messages: user([{ type: "text", text: "describe" }, image]) });
    assert.match(answer.choices[0].message.content, /images=1/);
  });

  test(name("JSON schema output"), async () => {
    const response_format = { type: "json_schema", json_schema: SCHEMA };
    const answer = await client().chat.completions.parse({ model, messages: user("plan"), response_format });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), gateway.WEATHER_ARGUMENTS);
  });

  test(name("Responses, whole"), async () => {
    const answer = await client().responses.create({ model, input: "hello" });
    assert.equal(answer.output_text, gateway.TEXT);
    assert.equal(answer.status, "completed");
    assert.equal(answer.usage.output_tokens, gateway.TOKENS_OUT);
  });

  test(name("Responses, streamed"), async () => {
    const stream = client().responses.stream({ model, input: "hello" });
    const events = await collect(stream);
    assert.equal((await stream.finalResponse()).output_text, gateway.TEXT);
    assert.equal(events[0].type, "response.created");
    assert.equal(events.at(-1).type, "response.completed");
    const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
    assert.equal(deltas.join(""), gateway.TEXT);
  });

  test(name("Responses with tools, whole and streamed"), async () => {
    const fields = { model, input: "use tools", tools: [RESPONSES_TOOL] };
    const whole = await client().responses.create(fields);
    const streamed = await client().responses.stream(fields).finalResponse();
    for (const answer of [whole, streamed]) {
      const calls = answer.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => JSON.parse(call.arguments)), [gateway.WEATHER_ARGUMENTS, gateway.WEATHER_ARGUMENTS]);
    }
  });

  test(name("Responses with an image, instructions and a schema"), async () => {
    const content = [
      { type: "input_text", text: "describe" },
      { type: "input_image", image_url: `data:image/png;base64,${gateway.PNG}`, detail: "auto" },
    ];
    const described = await client().responses.create({ model, instructions: "be kind", input: [{ role: "user", content }] });
    assert.match(described.output_text, /images=1 system_chars=7/);
    const planned = await client().responses.create({ model, input: "plan", text: { format: { type: "json_schema", ...SCHEMA } } });
    assert.deepEqual(JSON.parse(planned.output_text), gateway.WEATHER_ARGUMENTS);
  });
}

test("openai sdk: models are listed", async () => {
  const ids = (await collect(client().models.list())).map((model) => model.id);
  assert.ok(ids.includes(gateway.ECHO), ids.join(" "));
});

test("openai sdk: echo answers with the question", async () => {
  const answer = await client().chat.completions.create({ model: gateway.ECHO, messages: user("is anybody there?") });
  assert.equal(answer.choices[0].message.content, "is anybody there?");
});

function raises(kind, status, fields, key, code) {
  return assert.rejects(client(key).chat.completions.create({ model: gateway.OPENAI, messages: user("hello"), ...fields }), (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    assert.equal(error.status, status);
    if (code) assert.equal(error.code, code);
    return true;
  });
}

test("openai sdk: errors are its own exception types", async () => {
  await raises(OpenAI.AuthenticationError, 401, {}, "no-such-key-at-all-00", "invalid_api_key");
  await raises(OpenAI.PermissionDeniedError, 403, {}, gateway.NARROW_KEY, "model_not_allowed");
  await raises(OpenAI.NotFoundError, 404, { model: "no-such-model" }, undefined, "model_not_found");
  await raises(OpenAI.BadRequestError, 400, { max_tokens: "many" });
});

for (const provider of ["openai", "anthropic"]) {
  test(`openai sdk: faults of ${provider} are its own exception types`, async () => {
    await raises(OpenAI.RateLimitError, 429, { model: `${provider}-429` });
    await raises(OpenAI.InternalServerError, 502, { model: `${provider}-500` });
    await raises(OpenAI.InternalServerError, 502, { model: `${provider}-401` });
    await raises(OpenAI.BadRequestError, 400, { model: `${provider}-too-long` }, undefined, "context_length_exceeded");
    await raises(OpenAI.BadRequestError, 400, { model: `${provider}-filtered` });
  });

  for (const break_ of ["inband", "cut"]) {
    test(`openai sdk: a stream that ${provider} breaks (${break_}) raises`, async () => {
      let text = "";
      await assert.rejects(async () => {
        const stream = await client().chat.completions.create({ model: `${provider}-${break_}`, messages: user("hello"), stream: true });
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      }, OpenAI.APIError);
      assert.equal(text, "word0 word1 word2");
    });
  }
}
