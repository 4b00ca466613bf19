"""The Cohere SDK: chat v2 on its own provider and on the others, chat v1, its own exception types."""

import contextlib
import json
import unittest

import cohere
import httpx

import gateway

COMMAND = "cohere/mock"


def client(key: str = gateway.KEY) -> cohere.ClientV2:
    return cohere.ClientV2(api_key=key, base_url=gateway.URL, timeout=20)


TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": gateway.WEATHER}}


def user(content) -> list[dict]:
    return [{"role": "user", "content": content}]


def text_of(response) -> str:
    return "".join(part.text for part in response.message.content or [] if part.type == "text")


class Chat:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def chat(self, **fields):
        return client().chat(**{"model": self.model, "messages": user("hello"), "max_tokens": 100, **fields})

    def stream(self, **fields):
        return list(client().chat_stream(**{"model": self.model, "messages": user("hello"), "max_tokens": 100, **fields}))

    def test_whole_answer(self):
        response = self.chat()
        self.assertEqual((response.message.role, text_of(response), response.finish_reason), ("assistant", gateway.TEXT, "COMPLETE"))
        billed = response.usage.billed_units
        self.assertEqual((billed.input_tokens, billed.output_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        events = self.stream()
        self.assertEqual((events[0].type, events[-1].type), ("message-start", "message-end"))
        deltas = [event.delta.message.content.text for event in events if event.type == "content-delta"]
        self.assertEqual("".join(deltas), gateway.TEXT)
        self.assertEqual(events[-1].delta.finish_reason, "COMPLETE")
        self.assertEqual(events[-1].delta.usage.billed_units.output_tokens, gateway.TOKENS_OUT)

    def test_tool_calls_and_their_results(self):
        response = self.chat(messages=user("use tools"), tools=[TOOL])
        self.assertEqual(response.finish_reason, "TOOL_CALL")
        calls = response.message.tool_calls
        self.assertEqual([json.loads(call.function.arguments) for call in calls], [gateway.WEATHER_ARGUMENTS] * 2)
        self.assertEqual(len({call.id for call in calls}), 2)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": [{"type": "document", "document": {"data": {"text": "sunny"}}}]}
            for call in calls
        ]
        messages = user("use tools") + [response.message] + results
        self.assertEqual(text_of(self.chat(messages=messages, tools=[TOOL])), gateway.TEXT)

    def test_streamed_tool_calls(self):
        events = self.stream(messages=user("use tools"), tools=[TOOL])
        starts = [event.delta.message.tool_calls for event in events if event.type == "tool-call-start"]
        self.assertEqual([call.function.name for call in starts], ["weather"] * 2)
        arguments = {0: "", 1: ""}
        for event in events:
            if event.type == "tool-call-delta":
                arguments[event.index] += event.delta.message.tool_calls.function.arguments
        self.assertEqual([json.loads(text) for text in arguments.values()], [gateway.WEATHER_ARGUMENTS] * 2)
        self.assertEqual(events[-1].delta.finish_reason, "TOOL_CALL")

    def test_structured_output(self):
        response = self.chat(response_format={"type": "json_object", "json_schema": gateway.WEATHER})
        self.assertEqual(json.loads(text_of(response)), gateway.WEATHER_ARGUMENTS)

    def test_image_and_system_in(self):
        content = [{"type": "text", "text": "describe"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{gateway.PNG}"}}]
        response = self.chat(messages=[{"role": "system", "content": "be short"}] + user(content))
        self.assertIn("images=1", text_of(response))
        self.assertIn("system_chars=8", text_of(response))

    def test_token_limit(self):
        response = self.chat(max_tokens=3)
        self.assertEqual((response.finish_reason, text_of(response)), ("MAX_TOKENS", "word0 word1 word2"))


class OnCohere(Chat, unittest.TestCase):
    model = COMMAND


class OnOpenai(Chat, unittest.TestCase):
    model = gateway.OPENAI


class OnClaude(Chat, unittest.TestCase):
    model = gateway.CLAUDE


class Errors(unittest.TestCase):
    def test_each_has_its_exception(self):
        for model, key, kind in (
            (COMMAND, "wrong-key-of-nobody-01", cohere.UnauthorizedError),
            (COMMAND, gateway.NARROW_KEY, cohere.ForbiddenError),
            ("cohere-no/such", gateway.KEY, cohere.NotFoundError),
            ("cohere-429", gateway.KEY, cohere.TooManyRequestsError),
            ("cohere-too-long", gateway.KEY, cohere.BadRequestError),
        ):
            with self.subTest(model), self.assertRaises(kind) as caught:
                client(key).chat(model=model, messages=user("hello"), request_options={"max_retries": 0})
            self.assertIn("message", caught.exception.body)

    def test_a_broken_stream_ends_with_its_error(self):
        for model in ("cohere-inband", "cohere-cut"):
            events = []
            # The provider's own error event is passed on; behind an error of the gateway the connection ends.
            with contextlib.suppress(httpx.RemoteProtocolError):
                for event in client().chat_stream(model=model, messages=user("hello")):
                    events.append(event)
            self.assertEqual((events[-1].type, events[-1].delta.finish_reason), ("message-end", "ERROR"), model)
            self.assertEqual(sum(event.type == "message-end" for event in events), 1, model)


class FirstForm(unittest.TestCase):
    def test_whole_and_streamed(self):
        old = cohere.Client(api_key=gateway.KEY, base_url=gateway.URL, timeout=20)
        history = [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": "yes"}]
        for model in (gateway.OPENAI, gateway.CLAUDE):
            response = old.chat(model=model, message="hello", chat_history=history, preamble="be short")
            self.assertEqual((response.text, response.finish_reason), (gateway.TEXT, "COMPLETE"))
            events = list(old.chat_stream(model=model, message="hello"))
            self.assertEqual("".join(event.text for event in events if event.event_type == "text-generation"), gateway.TEXT)
            self.assertEqual((events[-1].event_type, events[-1].finish_reason), ("stream-end", "COMPLETE"))
