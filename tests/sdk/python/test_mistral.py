"""The Mistral SDK: its own provider and the others, its own exception types."""

import json
import unittest

from mistralai.client import Mistral, errors

import gateway

MISTRAL = "mistral/mock"


def client(key: str = gateway.KEY) -> Mistral:
    return Mistral(api_key=key, server_url=gateway.URL, timeout_ms=20_000)


TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": gateway.WEATHER}}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


class Chat:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def complete(self, **fields):
        return client().chat.complete(**{"model": self.model, "messages": user("hello"), **fields})

    def test_whole_answer(self):
        answer = self.complete()
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), (gateway.TEXT, "stop"))
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        events = [event.data for event in client().chat.stream(model=self.model, messages=user("hello"))]
        choices = [event.choices[0] for event in events if event.choices]
        self.assertEqual("".join(choice.delta.content or "" for choice in choices), gateway.TEXT)
        self.assertEqual(choices[-1].finish_reason, "stop")

    def test_one_tool_call_and_its_result(self):
        answer = self.complete(messages=user("use a tool"), tools=[TOOL])
        message = answer.choices[0].message
        self.assertEqual([call.function.name for call in message.tool_calls], ["weather"])
        self.assertEqual(json.loads(message.tool_calls[0].function.arguments), gateway.WEATHER_ARGUMENTS)
        result = {"role": "tool", "name": "weather", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
        answer = self.complete(messages=[*user("use a tool"), message, result], tools=[TOOL])
        self.assertEqual(answer.choices[0].message.content, gateway.TEXT)

    def test_structured_output(self):
        schema = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": gateway.WEATHER, "strict": True}}
        answer = self.complete(messages=user("plan"), response_format=schema)
        self.assertEqual(json.loads(answer.choices[0].message.content), gateway.WEATHER_ARGUMENTS)

    def test_its_name_of_the_seed_is_taken(self):
        self.assertEqual(self.complete(random_seed=7).choices[0].message.content, gateway.TEXT)


class OnMistral(Chat, unittest.TestCase):
    model = MISTRAL


class OnClaude(Chat, unittest.TestCase):
    model = gateway.CLAUDE


class OnGemini(Chat, unittest.TestCase):
    model = gateway.GEMINI


class Errors(unittest.TestCase):
    def test_each_has_its_status(self):
        for model, key, status in (
            (MISTRAL, "no-such-key-at-all-00", 401),
            (MISTRAL, gateway.NARROW_KEY, 403),
            ("no-such-model", gateway.KEY, 404),
            ("openai-429", gateway.KEY, 429),
            ("anthropic-too-long", gateway.KEY, 400),
        ):
            with self.subTest(model), self.assertRaises(errors.SDKError) as raised:
                client(key).chat.complete(model=model, messages=user("hello"))
            self.assertEqual(raised.exception.status_code, status, model)
