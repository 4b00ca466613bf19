"""The OpenAI SDK: chat and Responses on both providers, its own exception types."""

import json
import unittest

import openai
from pydantic import BaseModel

import gateway


def client(key: str = gateway.KEY) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20)


TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": gateway.WEATHER}}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


class Forecast(BaseModel):
    city: str
    days: int


class Chat:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def test_whole_answer(self):
        answer = client().chat.completions.create(model=self.model, messages=user("hello"))
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].message.content, gateway.TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.prompt_tokens, gateway.TOKENS_IN)
        self.assertEqual(answer.usage.completion_tokens, gateway.TOKENS_OUT)
        self.assertEqual(answer.usage.total_tokens, gateway.TOKENS_IN + gateway.TOKENS_OUT)

    def test_streamed_answer(self):
        stream = client().chat.completions.create(model=self.model, messages=user("hello"), stream=True)
        chunks = list(stream)
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), gateway.TEXT)
        self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "stop")
        self.assertTrue(all(chunk.usage is None for chunk in chunks), "usage came unasked")
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)

    def test_streamed_usage_when_asked_for(self):
        stream = client().chat.completions.create(
            model=self.model, messages=user("hello"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.prompt_tokens, gateway.TOKENS_IN)
        self.assertEqual(chunks[-1].usage.completion_tokens, gateway.TOKENS_OUT)
        self.assertEqual(len([chunk for chunk in chunks if chunk.usage]), 1)

    def test_sdk_stream_helper(self):
        with client().chat.completions.stream(model=self.model, messages=user("hello")) as stream:
            for _ in stream:
                pass
            self.assertEqual(stream.get_final_completion().choices[0].message.content, gateway.TEXT)

    def test_token_limit_is_a_length_finish(self):
        for limit in ("max_tokens", "max_completion_tokens"):
            answer = client().chat.completions.create(model=self.model, messages=user("hello"), **{limit: 3})
            self.assertEqual(answer.choices[0].finish_reason, "length", limit)
            self.assertEqual(answer.choices[0].message.content, "word0 word1 word2")

    def test_one_tool_call_and_its_result(self):
        messages = user("use a tool")
        answer = client().chat.completions.create(model=self.model, messages=messages, tools=[TOOL])
        message = answer.choices[0].message
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual([call.function.name for call in message.tool_calls], ["weather"])
        self.assertEqual(json.loads(message.tool_calls[0].function.arguments), gateway.WEATHER_ARGUMENTS)
        messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
        answer = client().chat.completions.create(model=self.model, messages=messages, tools=[TOOL])
        self.assertEqual(answer.choices[0].message.content, gateway.TEXT)

    def test_parallel_tool_calls(self):
        answer = client().chat.completions.create(
            model=self.model, messages=user("use tools"), tools=[TOOL], parallel_tool_calls=True
        )
        calls = answer.choices[0].message.tool_calls
        self.assertEqual(len(calls), 2)
        self.assertEqual(len({call.id for call in calls}), 2)
        messages = user("use tools") + [answer.choices[0].message]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        self.assertEqual(
            client().chat.completions.create(model=self.model, messages=messages, tools=[TOOL]).choices[0].message.content, gateway.TEXT
        )

    def test_streamed_parallel_tool_calls(self):
        calls: dict[int, dict] = {}
        stream = client().chat.completions.create(model=self.model, messages=user("use tools"), tools=[TOOL], stream=True)
        finish = None
        for chunk in stream:
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                for delta in choice.delta.tool_calls or []:
                    call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                    call["id"] += delta.id or ""
                    call["name"] += delta.function.name or ""
                    call["arguments"] += delta.function.arguments or ""
        self.assertEqual(finish, "tool_calls")
        self.assertEqual(sorted(calls), [0, 1])
        for call in calls.values():
            self.assertEqual(call["name"], "weather")
            self.assertTrue(call["id"])
            self.assertEqual(json.loads(call["arguments"]), gateway.WEATHER_ARGUMENTS)

    def test_tool_choice(self):
        for choice in ("auto", "none", "required", {"type": "function", "function": {"name": "weather"}}):
            answer = client().chat.completions.create(model=self.model, messages=user("hello"), tools=[TOOL], tool_choice=choice)
            self.assertEqual(answer.choices[0].message.content, gateway.TEXT, choice)

    def test_image_in(self):
        content = [
            {"type": "text", "text": "describe"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{gateway.PNG}"}},
        ]
        answer = client().chat.completions.create(model=self.model, messages=[{"role": "user", "content": content}])
        self.assertIn("images=1", answer.choices[0].message.content)

    def test_system_and_developer_messages_arrive(self):
        for role in ("system", "developer"):
            messages = [{"role": role, "content": "be kind"}] + user("describe")
            answer = client().chat.completions.create(model=self.model, messages=messages)
            self.assertIn("system_chars=7", answer.choices[0].message.content, role)

    def test_json_schema_output(self):
        answer = client().chat.completions.parse(model=self.model, messages=user("plan"), response_format=Forecast)
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="text", days=1))

    def test_responses_whole(self):
        answer = client().responses.create(model=self.model, input="hello")
        self.assertEqual(answer.output_text, gateway.TEXT)
        self.assertEqual(answer.status, "completed")
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_responses_streamed(self):
        with client().responses.stream(model=self.model, input="hello") as stream:
            events = list(stream)
            final = stream.get_final_response()
        self.assertEqual(final.output_text, gateway.TEXT)
        kinds = [event.type for event in events]
        self.assertEqual(kinds[0], "response.created")
        self.assertEqual(kinds[-1], "response.completed")
        self.assertEqual("".join(event.delta for event in events if event.type == "response.output_text.delta"), gateway.TEXT)
        numbers = [event.sequence_number for event in events]
        self.assertEqual(numbers, sorted(numbers))

    def test_responses_tools(self):
        tool = {"type": "function", "name": "weather", "parameters": gateway.WEATHER, "strict": True}
        answer = client().responses.create(model=self.model, input="use tools", tools=[tool])
        calls = [item for item in answer.output if item.type == "function_call"]
        self.assertEqual([json.loads(call.arguments) for call in calls], [gateway.WEATHER_ARGUMENTS] * 2)
        follow_up = [{"role": "user", "content": "use tools"}]
        follow_up += [
            {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments} for call in calls
        ]
        follow_up += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
        answer = client().responses.create(model=self.model, input=follow_up, tools=[tool])
        self.assertEqual(answer.output_text, gateway.TEXT)

    def test_responses_streamed_tools(self):
        tool = {"type": "function", "name": "weather", "parameters": gateway.WEATHER, "strict": True}
        with client().responses.stream(model=self.model, input="use a tool", tools=[tool]) as stream:
            final = stream.get_final_response()
        calls = [item for item in final.output if item.type == "function_call"]
        self.assertEqual([(call.name, json.loads(call.arguments)) for call in calls], [("weather", gateway.WEATHER_ARGUMENTS)])

    def test_responses_image_instructions_and_schema(self):
        content = [
            {"type": "input_text", "text": "describe"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{gateway.PNG}", "detail": "auto"},
        ]
        answer = client().responses.create(model=self.model, instructions="be kind", input=[{"role": "user", "content": content}])
        self.assertIn("images=1 system_chars=7", answer.output_text)
        answer = client().responses.parse(model=self.model, input="plan", text_format=Forecast)
        self.assertEqual(answer.output_parsed, Forecast(city="text", days=1))

    def test_responses_token_limit_is_incomplete(self):
        answer = client().responses.create(model=self.model, input="hello", max_output_tokens=3)
        self.assertEqual(answer.status, "incomplete")
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")


class ChatOfOpenai(Chat, unittest.TestCase):
    model = gateway.OPENAI

    def test_cached_and_reasoning_tokens(self):
        answer = client().chat.completions.create(model="openai/mock-cached-reason", messages=user("hello"))
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 4)
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 3)

    def test_embeddings(self):
        answer = client().embeddings.create(model=self.model, input=["a", "b"])
        self.assertEqual(len(answer.data), 2)
        self.assertEqual(len(answer.data[0].embedding), 8)


class ChatOfClaude(Chat, unittest.TestCase):
    model = gateway.CLAUDE

    def test_cached_tokens_count_as_prompt_tokens(self):
        answer = client().chat.completions.create(model="anthropic/mock-cached", messages=user("hello"))
        self.assertEqual(answer.usage.prompt_tokens, gateway.TOKENS_IN)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 4)


class Gateway(unittest.TestCase):
    def test_models_are_listed(self):
        ids = [model.id for model in client().models.list()]
        self.assertIn(gateway.ECHO, ids)

    def test_echo_answers_with_the_question(self):
        answer = client().chat.completions.create(model=gateway.ECHO, messages=user("is anybody there?"))
        self.assertEqual(answer.choices[0].message.content, "is anybody there?")
        stream = client().chat.completions.create(model=gateway.ECHO, messages=user("is anybody there?"), stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        self.assertEqual(text, "is anybody there?")
        self.assertEqual(client().responses.create(model=gateway.ECHO, input="hello").output_text, "hello")

    def test_headers_say_where_the_answer_came_from(self):
        raw = client().chat.completions.with_raw_response.create(model=gateway.OPENAI, messages=user("hello"))
        self.assertEqual(raw.headers["x-ringway-provider"], "openai")
        self.assertEqual(raw.headers["x-ringway-attempts"], "1")
        self.assertTrue(raw.headers["x-ringway-request-id"])


class Errors(unittest.TestCase):
    def raises(self, kind, status, model=gateway.OPENAI, key=gateway.KEY, **fields):
        with self.assertRaises(kind) as caught:
            client(key).chat.completions.create(model=model, messages=user("hello"), **fields)
        self.assertEqual(caught.exception.status_code, status)
        return caught.exception

    def test_unknown_key(self):
        self.assertEqual(self.raises(openai.AuthenticationError, 401, key="no-such-key-at-all-00").code, "invalid_api_key")

    def test_model_not_allowed(self):
        self.assertEqual(self.raises(openai.PermissionDeniedError, 403, key=gateway.NARROW_KEY).code, "model_not_allowed")
        answer = client(gateway.NARROW_KEY).chat.completions.create(model="openai/allowed-1", messages=user("hello"))
        self.assertEqual(answer.choices[0].message.content, gateway.TEXT)

    def test_unknown_model(self):
        self.assertEqual(self.raises(openai.NotFoundError, 404, model="no-such-model").code, "model_not_found")

    def test_wrong_type(self):
        self.raises(openai.BadRequestError, 400, max_tokens="many")

    def test_faults_of_both_providers(self):
        for provider in ("openai", "anthropic"):
            with self.subTest(provider):
                error = self.raises(openai.RateLimitError, 429, model=f"{provider}-429")
                self.assertIn("retry-after", error.response.headers)
                self.raises(openai.InternalServerError, 502, model=f"{provider}-500")
                self.raises(openai.InternalServerError, 502, model=f"{provider}-401")
                self.assertEqual(self.raises(openai.BadRequestError, 400, model=f"{provider}-too-long").code, "context_length_exceeded")
                self.raises(openai.BadRequestError, 400, model=f"{provider}-filtered")

    def test_a_broken_stream_raises(self):
        for model in ("openai-inband", "openai-cut", "anthropic-inband", "anthropic-cut"):
            with self.subTest(model):
                text = ""
                with self.assertRaises(openai.APIError):
                    for chunk in client().chat.completions.create(model=model, messages=user("hello"), stream=True):
                        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
                self.assertEqual(text, "word0 word1 word2")
