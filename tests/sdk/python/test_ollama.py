"""The Ollama SDK: chat on its own provider and on the others."""

import unittest

import ollama

import gateway

LLAMA = "ollama/mock"


def client(key: str = gateway.KEY) -> ollama.Client:
    return ollama.Client(host=gateway.URL, headers={"authorization": f"Bearer {key}"}, timeout=20)


TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": gateway.WEATHER}}


def user(content: str, **fields) -> list[dict]:
    return [{"role": "user", "content": content, **fields}]


class Chat:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def chat(self, **fields):
        return client().chat(**{"model": self.model, "messages": user("hello"), **fields})

    def test_whole_answer(self):
        response = self.chat()
        self.assertEqual((response.message.content, response.done, response.done_reason), (gateway.TEXT, True, "stop"))
        self.assertEqual((response.prompt_eval_count, response.eval_count), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        parts = list(self.chat(stream=True))
        self.assertEqual("".join(part.message.content for part in parts), gateway.TEXT)
        self.assertEqual([part.done for part in parts], [False] * (len(parts) - 1) + [True])
        self.assertEqual(parts[-1].eval_count, gateway.TOKENS_OUT)

    def test_tool_calls_and_their_results(self):
        for stream in (False, True):
            answer = self.chat(messages=user("use tools"), tools=[TOOL], stream=stream)
            messages = [part.message for part in answer] if stream else [answer.message]
            calls = [call for message in messages for call in message.tool_calls or []]
            self.assertEqual([(call.function.name, call.function.arguments) for call in calls], [("weather", gateway.WEATHER_ARGUMENTS)] * 2)
            turn = [{"role": "assistant", "content": "", "tool_calls": [call.model_dump() for call in calls]}]
            results = [{"role": "tool", "content": "sunny", "tool_name": "weather"} for _ in calls]
            response = self.chat(messages=user("use tools") + turn + results, tools=[TOOL])
            self.assertEqual(response.message.content, gateway.TEXT)

    def test_structured_output(self):
        response = self.chat(format=gateway.WEATHER)
        self.assertIn('"city"', response.message.content)

    def test_image_in(self):
        response = self.chat(messages=user("describe", images=[gateway.PNG]))
        self.assertIn("images=1", response.message.content)


class OnOllama(Chat, unittest.TestCase):
    model = LLAMA


class OnOpenai(Chat, unittest.TestCase):
    model = gateway.OPENAI


class OnClaude(Chat, unittest.TestCase):
    model = gateway.CLAUDE


class Errors(unittest.TestCase):
    def test_a_refusal_has_its_status_and_its_words(self):
        for model, key, status in ((LLAMA, "wrong-key-of-nobody-01", 401), ("ollama-no/such", gateway.KEY, 404)):
            with self.subTest(model), self.assertRaises(ollama.ResponseError) as caught:
                client(key).chat(model=model, messages=user("hello"))
            self.assertEqual(caught.exception.status_code, status)

    def test_a_broken_stream_raises(self):
        for model in ("ollama-inband", "ollama-cut"):
            with self.subTest(model), self.assertRaises(ollama.ResponseError):
                list(client().chat(model=model, messages=user("hello"), stream=True))
