"""Pydantic AI over its OpenAI (chat and Responses) and Anthropic models, each on several providers."""

import unittest

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

import gateway

MODELS = [gateway.OPENAI, gateway.CLAUDE, gateway.GEMINI]


class Forecast(BaseModel):
    city: str
    days: int


def openai_provider(key):
    return OpenAIProvider(openai_client=AsyncOpenAI(api_key=key, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20))


def over_chat(model, key=gateway.KEY):
    return OpenAIChatModel(model, provider=openai_provider(key))


def over_responses(model, key=gateway.KEY):
    return OpenAIResponsesModel(model, provider=openai_provider(key))


def over_anthropic(model, key=gateway.KEY):
    client = AsyncAnthropic(api_key=key, base_url=gateway.URL, max_retries=0, timeout=20)
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


class Runs(unittest.IsolatedAsyncioTestCase):
    def each(self):
        for over in (over_chat, over_responses, over_anthropic):
            for model in MODELS:
                with self.subTest(f"{over.__name__} {model}"):
                    yield over(model)

    async def test_whole_answer(self):
        for model in self.each():
            result = await Agent(model).run("hello")
            self.assertEqual(result.output, gateway.TEXT)
            usage = result.usage() if callable(result.usage) else result.usage
            self.assertEqual((usage.input_tokens, usage.output_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    async def test_streamed_answer(self):
        for model in self.each():
            async with Agent(model).run_stream("hello") as result:
                pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            self.assertGreater(len(pieces), 2)
            self.assertEqual("".join(pieces), gateway.TEXT)

    async def test_tools_are_called_and_their_results_sent(self):
        for model in self.each():
            seen = []
            agent = Agent(model)

            @agent.tool_plain
            def weather(city: str, days: int) -> str:
                """The weather."""
                seen.append((city, days))
                return "sunny"

            self.assertEqual((await agent.run("use a tool")).output, gateway.TEXT)
            self.assertEqual(seen, [("text", 1)])

    async def test_structured_output(self):
        for over in (over_chat, over_responses):
            for model in MODELS:
                with self.subTest(f"{over.__name__} {model}"):
                    result = await Agent(over(model), output_type=NativeOutput(Forecast)).run("plan")
                    self.assertEqual(result.output, Forecast(city="text", days=1))

    async def test_errors_are_its_own(self):
        for over in (over_chat, over_responses, over_anthropic):
            for model, key, status in (
                (gateway.OPENAI, "no-such-key-at-all-00", 401),
                ("no-such-model", gateway.KEY, 404),
                ("anthropic-429", gateway.KEY, 429),
                ("openai-too-long", gateway.KEY, 400),
            ):
                with self.subTest(f"{over.__name__} {model}"), self.assertRaises(ModelHTTPError) as raised:
                    await Agent(over(model, key)).run("hello")
                self.assertEqual(raised.exception.status_code, status)
