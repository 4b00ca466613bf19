"""The Anthropic SDK: Messages on both providers in the shapes that Claude Code sends, its own exception types."""

import unittest

import anthropic

import gateway


def client(key: str = gateway.KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=gateway.URL, max_retries=0, timeout=20)


TOOL = {"name": "weather", "description": "The weather.", "input_schema": gateway.WEATHER}


def user(content) -> list[dict]:
    return [{"role": "user", "content": content}]


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


class Messages:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def create(self, **fields):
        return client().messages.create(**{"model": self.model, "max_tokens": 100, "messages": user("hello"), **fields})

    def stream(self, **fields):
        return client().messages.stream(**{"model": self.model, "max_tokens": 100, "messages": user("hello"), **fields})

    def test_whole_answer(self):
        message = self.create()
        self.assertEqual((message.type, message.role), ("message", "assistant"))
        self.assertEqual(text_of(message), gateway.TEXT)
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertEqual((message.usage.input_tokens, message.usage.output_tokens), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        with self.stream() as stream:
            self.assertEqual("".join(stream.text_stream), gateway.TEXT)
            message = stream.get_final_message()
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertEqual(message.usage.output_tokens, gateway.TOKENS_OUT)

    def test_streamed_events_come_in_their_order(self):
        kinds = [event.type for event in client().messages.create(model=self.model, max_tokens=100, messages=user("hello"), stream=True)]
        kinds = [kind for kind in kinds if kind != "ping"]
        self.assertEqual(kinds[:2], ["message_start", "content_block_start"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertEqual(set(kinds[2:-3]), {"content_block_delta"})

    def test_token_limit(self):
        message = self.create(max_tokens=3)
        self.assertEqual((message.stop_reason, text_of(message)), ("max_tokens", "word0 word1 word2"))

    def test_one_tool_call_and_its_result(self):
        message = self.create(messages=user("use a tool"), tools=[TOOL])
        self.assertEqual(message.stop_reason, "tool_use")
        call = next(block for block in message.content if block.type == "tool_use")
        self.assertEqual((call.name, call.input), ("weather", gateway.WEATHER_ARGUMENTS))
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        messages = user("use a tool") + [{"role": "assistant", "content": message.content}] + user([result])
        self.assertEqual(text_of(self.create(messages=messages, tools=[TOOL])), gateway.TEXT)

    def test_parallel_tool_calls(self):
        message = self.create(messages=user("use tools"), tools=[TOOL])
        calls = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual([call.input for call in calls], [gateway.WEATHER_ARGUMENTS] * 2)
        self.assertEqual(len({call.id for call in calls}), 2)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}]} for call in calls]
        messages = user("use tools") + [{"role": "assistant", "content": message.content}] + user(results)
        self.assertEqual(text_of(self.create(messages=messages, tools=[TOOL])), gateway.TEXT)

    def test_streamed_parallel_tool_calls(self):
        with self.stream(messages=user("use tools"), tools=[TOOL]) as stream:
            message = stream.get_final_message()
        calls = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual([(call.name, call.input) for call in calls], [("weather", gateway.WEATHER_ARGUMENTS)] * 2)
        self.assertEqual(message.stop_reason, "tool_use")

    def test_tool_choice(self):
        for choice in ({"type": "auto"}, {"type": "none"}, {"type": "any"}, {"type": "tool", "name": "weather"}):
            self.assertEqual(text_of(self.create(tools=[TOOL], tool_choice=choice)), gateway.TEXT, choice)

    def test_image_in(self):
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": gateway.PNG}}
        message = self.create(messages=user([image, {"type": "text", "text": "describe"}]))
        self.assertIn("images=1", text_of(message))

    def test_system_blocks_with_cache_marks_arrive(self):
        system = [
            {"type": "text", "text": "be kind"},
            {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
        ]
        content = [{"type": "text", "text": "describe", "cache_control": {"type": "ephemeral"}}]
        self.assertIn("system_chars=15", text_of(self.create(system=system, messages=user(content))))
        self.assertIn("system_chars=7", text_of(self.create(system="be kind", messages=user("describe"))))

    def test_a_conversation_with_signed_thinking_goes_on(self):
        """What Claude Code sends back: thinking with its signature, a call, its result."""
        assistant = [
            {"type": "thinking", "thinking": "A tool will know.", "signature": "bW9jay1zaWduYXR1cmU="},
            {"type": "text", "text": "One moment."},
            {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "x", "days": 1}},
        ]
        result = [{"type": "tool_result", "tool_use_id": "toolu_01", "content": "sunny", "is_error": False}]
        messages = user("hello") + [{"role": "assistant", "content": assistant}] + user(result)
        self.assertEqual(text_of(self.create(messages=messages, tools=[TOOL])), gateway.TEXT)

    def test_tokens_are_counted(self):
        count = client().messages.count_tokens(model=self.model, messages=user("hello there, how are you?"), system="be kind", tools=[TOOL])
        self.assertGreater(count.input_tokens, 0)

    def test_stop_sequences_and_metadata_are_taken(self):
        message = self.create(stop_sequences=["never"], metadata={"user_id": "u"})
        self.assertEqual(text_of(message), gateway.TEXT)


class MessagesOfClaude(Messages, unittest.TestCase):
    model = gateway.CLAUDE
    thinking = {"type": "enabled", "budget_tokens": 1024}

    def test_thinking_whole(self):
        message = self.create(max_tokens=2000, thinking=self.thinking)
        self.assertEqual([block.type for block in message.content], ["thinking", "text"])
        self.assertEqual(message.content[0].thinking, "The user asked, so I think.")
        self.assertTrue(message.content[0].signature)

    def test_thinking_streamed(self):
        with self.stream(max_tokens=2000, thinking=self.thinking) as stream:
            message = stream.get_final_message()
        self.assertEqual([block.type for block in message.content], ["thinking", "text"])
        self.assertTrue(message.content[0].signature)

    def test_cached_tokens(self):
        message = self.create(model="anthropic/mock-cached")
        self.assertEqual((message.usage.input_tokens, message.usage.cache_read_input_tokens), (gateway.TOKENS_IN - 4, 4))

    def test_json_schema_output(self):
        message = self.create(messages=user("plan"), output_config={"format": {"type": "json_schema", "schema": gateway.WEATHER}})
        self.assertEqual(text_of(message), '{"city":"text","days":1}')


class MessagesOfOpenai(Messages, unittest.TestCase):
    model = gateway.OPENAI

    def test_cached_tokens_are_told_apart_from_fresh_ones(self):
        message = self.create(model="openai/mock-cached")
        self.assertEqual((message.usage.input_tokens, message.usage.cache_read_input_tokens), (gateway.TOKENS_IN - 4, 4))


class Gateway(unittest.TestCase):
    def test_models_are_listed(self):
        self.assertIn(gateway.ECHO, [model.id for model in client().models.list()])

    def test_echo_answers_with_the_question(self):
        message = client().messages.create(model=gateway.ECHO, max_tokens=100, messages=user("is anybody there?"))
        self.assertEqual(text_of(message), "is anybody there?")
        with client().messages.stream(model=gateway.ECHO, max_tokens=100, messages=user("is anybody there?")) as stream:
            self.assertEqual("".join(stream.text_stream), "is anybody there?")

    def test_a_bearer_token_is_a_key_too(self):
        bearer = anthropic.Anthropic(auth_token=gateway.KEY, api_key=None, base_url=gateway.URL, max_retries=0)
        self.assertEqual(text_of(bearer.messages.create(model=gateway.CLAUDE, max_tokens=100, messages=user("hello"))), gateway.TEXT)


class Errors(unittest.TestCase):
    def raises(self, kind, status, wanted_type=None, model=gateway.CLAUDE, key=gateway.KEY, **fields):
        with self.assertRaises(kind) as caught:
            client(key).messages.create(**{"model": model, "max_tokens": 100, "messages": user("hello"), **fields})
        self.assertEqual(caught.exception.status_code, status)
        self.assertEqual(caught.exception.body["type"], "error")
        if wanted_type:
            self.assertEqual(caught.exception.body["error"]["type"], wanted_type)
        return caught.exception

    def test_unknown_key(self):
        self.raises(anthropic.AuthenticationError, 401, "authentication_error", key="no-such-key-at-all-00")

    def test_model_not_allowed(self):
        self.raises(anthropic.PermissionDeniedError, 403, "permission_error", key=gateway.NARROW_KEY)

    def test_unknown_model(self):
        self.raises(anthropic.NotFoundError, 404, "not_found_error", model="no-such-model")

    def test_wrong_type(self):
        self.raises(anthropic.BadRequestError, 400, "invalid_request_error", max_tokens="many")

    def test_faults_of_both_providers(self):
        for provider in ("openai", "anthropic"):
            with self.subTest(provider):
                error = self.raises(anthropic.RateLimitError, 429, "rate_limit_error", model=f"{provider}-429")
                self.assertIn("retry-after", error.response.headers)
                self.raises(anthropic.APIStatusError, 502, "api_error", model=f"{provider}-500")
                self.raises(anthropic.APIStatusError, 502, "api_error", model=f"{provider}-401")
                self.raises(anthropic.BadRequestError, 400, "invalid_request_error", model=f"{provider}-too-long")
                self.raises(anthropic.BadRequestError, 400, "invalid_request_error", model=f"{provider}-filtered")

    def test_a_broken_stream_raises(self):
        for model in ("openai-inband", "openai-cut", "anthropic-inband", "anthropic-cut"):
            with self.subTest(model):
                text = ""
                with self.assertRaises(anthropic.APIError):
                    with client().messages.stream(model=model, max_tokens=100, messages=user("hello")) as stream:
                        for piece in stream.text_stream:
                            text += piece
                self.assertEqual(text, "word0 word1 word2")
