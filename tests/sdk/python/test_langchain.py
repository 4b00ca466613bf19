"""LangChain over its OpenAI and Anthropic packages, each on both providers."""

import unittest

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

import gateway

MODELS = [gateway.OPENAI, gateway.CLAUDE, gateway.GEMINI]


class Forecast(BaseModel):
    """A forecast."""

    city: str
    days: int


def weather(city: str, days: int) -> str:
    """The weather."""
    return "sunny"


def over_openai(model: str, key: str = gateway.KEY, **fields):
    return ChatOpenAI(model=model, api_key=key, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20, **fields)


def over_anthropic(model: str, key: str = gateway.KEY, **fields):
    return ChatAnthropic(model=model, api_key=key, base_url=gateway.URL, max_retries=0, timeout=20, max_tokens=100, **fields)


class Chat:
    """What must work whichever SDK is below; `chat` makes the model."""

    def each(self):
        for model in MODELS:
            with self.subTest(model):
                yield type(self).chat(model)

    def test_whole_answer(self):
        for chat in self.each():
            answer = chat.invoke("hello")
            self.assertEqual(answer.text, gateway.TEXT)
            usage = answer.usage_metadata
            self.assertEqual((usage["input_tokens"], usage["output_tokens"]), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        for chat in self.each():
            chunks = list(chat.stream("hello"))
            self.assertGreater(len(chunks), 2)
            self.assertEqual("".join(chunk.text for chunk in chunks), gateway.TEXT)

    def test_one_tool_call_and_its_result(self):
        for chat in self.each():
            chat = chat.bind_tools([weather])
            messages = [HumanMessage("use a tool")]
            answer = chat.invoke(messages)
            self.assertEqual([(call["name"], call["args"]) for call in answer.tool_calls], [("weather", gateway.WEATHER_ARGUMENTS)])
            messages += [answer, ToolMessage("sunny", tool_call_id=answer.tool_calls[0]["id"])]
            self.assertEqual(chat.invoke(messages).text, gateway.TEXT)

    def test_streamed_tool_calls(self):
        for chat in self.each():
            whole = None
            for chunk in chat.bind_tools([weather]).stream("use tools"):
                whole = chunk if whole is None else whole + chunk
            self.assertEqual([call["args"] for call in whole.tool_calls], [gateway.WEATHER_ARGUMENTS] * 2)

    def test_structured_output(self):
        for chat in self.each():
            answer = chat.with_structured_output(Forecast, method="json_schema").invoke("plan")
            self.assertEqual(answer, Forecast(city="text", days=1))


class OverOpenai(Chat, unittest.TestCase):
    chat = over_openai


class OverResponses(Chat, unittest.TestCase):
    @staticmethod
    def chat(model):
        return over_openai(model, use_responses_api=True)


class OverAnthropic(Chat, unittest.TestCase):
    chat = over_anthropic


class Embeddings(unittest.TestCase):
    def test_one_vector_for_each_text(self):
        for model in (gateway.OPENAI, gateway.GEMINI):
            with self.subTest(model):
                embeddings = OpenAIEmbeddings(
                    model=model, api_key=gateway.KEY, base_url=f"{gateway.URL}/v1", check_embedding_ctx_length=False, max_retries=0
                )
                self.assertEqual([bool(vector) for vector in embeddings.embed_documents(["a", "b"])], [True, True])


class Errors(unittest.TestCase):
    def test_each_is_the_sdks_own(self):
        for chat, sdk in ((over_openai, openai), (over_anthropic, anthropic)):
            for model, key, kind in (
                (gateway.OPENAI, "no-such-key-at-all-00", sdk.AuthenticationError),
                ("no-such-model", gateway.KEY, sdk.NotFoundError),
                ("openai-429", gateway.KEY, sdk.RateLimitError),
                ("anthropic-429", gateway.KEY, sdk.RateLimitError),
            ):
                with self.subTest(f"{sdk.__name__} {model}"), self.assertRaises(kind):
                    chat(model, key).invoke("hello")
