"""The Groq SDK: its own provider and the others, its own exception types."""

import json
import unittest

import groq

import gateway

GROQ = "groq/mock"


def client(key: str = gateway.KEY) -> groq.Groq:
    return groq.Groq(api_key=key, base_url=gateway.URL, max_retries=0, timeout=20)


TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": gateway.WEATHER}}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


class Chat:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def create(self, **fields):
        return client().chat.completions.create(**{"model": self.model, "messages": user("hello"), **fields})

    def test_whole_answer(self):
        answer = self.create()
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), (gateway.TEXT, "stop"))
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        choices = [chunk.choices[0] for chunk in self.create(stream=True) if chunk.choices]
        self.assertEqual("".join(choice.delta.content or "" for choice in choices), gateway.TEXT)
        self.assertEqual(choices[-1].finish_reason, "stop")

    def test_one_tool_call_and_its_result(self):
        message = self.create(messages=user("use a tool"), tools=[TOOL]).choices[0].message
        self.assertEqual([call.function.name for call in message.tool_calls], ["weather"])
        self.assertEqual(json.loads(message.tool_calls[0].function.arguments), gateway.WEATHER_ARGUMENTS)
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
        answer = self.create(messages=[*user("use a tool"), message, result], tools=[TOOL])
        self.assertEqual(answer.choices[0].message.content, gateway.TEXT)

    def test_structured_output(self):
        schema = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": gateway.WEATHER}}
        answer = self.create(messages=user("plan"), response_format=schema)
        self.assertEqual(json.loads(answer.choices[0].message.content), gateway.WEATHER_ARGUMENTS)


class OnGroq(Chat, unittest.TestCase):
    model = GROQ


class OnClaude(Chat, unittest.TestCase):
    model = gateway.CLAUDE


class Errors(unittest.TestCase):
    def test_each_has_its_exception(self):
        for model, key, kind in (
            (GROQ, "no-such-key-at-all-00", groq.AuthenticationError),
            (GROQ, gateway.NARROW_KEY, groq.PermissionDeniedError),
            ("no-such-model", gateway.KEY, groq.NotFoundError),
            ("openai-429", gateway.KEY, groq.RateLimitError),
            ("anthropic-too-long", gateway.KEY, groq.BadRequestError),
            ("anthropic-500", gateway.KEY, groq.InternalServerError),
        ):
            with self.subTest(model), self.assertRaises(kind):
                client(key).chat.completions.create(model=model, messages=user("hello"))
