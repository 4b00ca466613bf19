"""The OpenAI Agents SDK over Responses and over chat, on several providers."""

import unittest

import openai
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, RunConfig, Runner, function_tool
from pydantic import BaseModel

import gateway

MODELS = [gateway.OPENAI, gateway.CLAUDE, gateway.GEMINI]
QUIET = RunConfig(tracing_disabled=True)


class Forecast(BaseModel):
    city: str
    days: int


class Runs(unittest.IsolatedAsyncioTestCase):
    def model(self, kind, model, key=gateway.KEY):
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20)
        return kind(model=model, openai_client=client)

    def each(self):
        for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
            for model in MODELS:
                with self.subTest(f"{kind.__name__} {model}"):
                    yield self.model(kind, model)

    async def test_whole_answer(self):
        for model in self.each():
            result = await Runner.run(Agent(name="a", instructions="be kind", model=model), "hello", run_config=QUIET)
            self.assertEqual(result.final_output, gateway.TEXT)
            usage = result.context_wrapper.usage
            self.assertEqual((usage.input_tokens, usage.output_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    async def test_streamed_answer(self):
        for model in self.each():
            result = Runner.run_streamed(Agent(name="a", model=model), "hello", run_config=QUIET)
            deltas = []
            async for event in result.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    deltas.append(event.data.delta)
            self.assertEqual("".join(deltas), gateway.TEXT)
            self.assertEqual(result.final_output, gateway.TEXT)

    async def test_tools_are_called_and_their_results_sent(self):
        for model in self.each():
            seen = []

            @function_tool
            def weather(city: str, days: int) -> str:
                """The weather."""
                seen.append((city, days))
                return "sunny"

            result = await Runner.run(Agent(name="a", model=model, tools=[weather]), "use a tool", run_config=QUIET)
            self.assertEqual((result.final_output, seen), (gateway.TEXT, [("text", 1)]))

    async def test_structured_output(self):
        for model in self.each():
            result = await Runner.run(Agent(name="a", model=model, output_type=Forecast), "plan", run_config=QUIET)
            self.assertEqual(result.final_output, Forecast(city="text", days=1))

    async def test_errors_are_the_sdks_own(self):
        for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
            for model, key, error in (
                (gateway.OPENAI, "no-such-key-at-all-00", openai.AuthenticationError),
                ("no-such-model", gateway.KEY, openai.NotFoundError),
                ("anthropic-429", gateway.KEY, openai.RateLimitError),
            ):
                with self.subTest(f"{kind.__name__} {model}"), self.assertRaises(error):
                    await Runner.run(Agent(name="a", model=self.model(kind, model, key)), "hello", run_config=QUIET)
