"""The Google Gen AI SDK: its own provider and the others, embeddings, counts, its own exception types."""

import base64
import functools
import json
import unittest

from google import genai
from google.genai import errors, types

import gateway


# A client closes its connections when it is collected, which may be before its answer is read.
@functools.cache
def client(key: str = gateway.KEY) -> genai.Client:
    options = types.HttpOptions(base_url=gateway.URL, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key=key, vertexai=False, http_options=options)


TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name="weather", description="The weather.", parameters_json_schema=gateway.WEATHER)
        ]
    )
]
MANUAL = types.AutomaticFunctionCallingConfig(disable=True)


class Generate:
    """What must work whatever provider answers; `model` names it."""

    model: str

    def generate(self, contents="hello", **config):
        return client().models.generate_content(model=self.model, contents=contents, config=types.GenerateContentConfig(**config))

    def stream(self, contents="hello", **config):
        config = types.GenerateContentConfig(**config)
        return list(client().models.generate_content_stream(model=self.model, contents=contents, config=config))

    def test_whole_answer(self):
        answer = self.generate()
        self.assertEqual(answer.text, gateway.TEXT)
        self.assertEqual(answer.candidates[0].finish_reason, types.FinishReason.STOP)
        usage = answer.usage_metadata
        self.assertEqual((usage.prompt_token_count, usage.candidates_token_count), (gateway.TOKENS_IN, gateway.TOKENS_OUT))

    def test_streamed_answer(self):
        chunks = self.stream()
        self.assertGreater(len(chunks), 2)
        self.assertEqual("".join(chunk.text or "" for chunk in chunks), gateway.TEXT)
        self.assertEqual(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP)
        self.assertEqual(chunks[-1].usage_metadata.candidates_token_count, gateway.TOKENS_OUT)

    def test_one_tool_call_and_its_result(self):
        answer = self.generate("use a tool", tools=TOOLS, automatic_function_calling=MANUAL)
        self.assertEqual([(call.name, call.args) for call in answer.function_calls], [("weather", gateway.WEATHER_ARGUMENTS)])
        call = answer.function_calls[0]
        result = types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "sunny"}))
        turns = [
            types.Content(role="user", parts=[types.Part(text="use a tool")]),
            answer.candidates[0].content,
            types.Content(role="user", parts=[result]),
        ]
        self.assertEqual(self.generate(turns, tools=TOOLS, automatic_function_calling=MANUAL).text, gateway.TEXT)

    def test_streamed_parallel_tool_calls(self):
        chunks = self.stream("use tools", tools=TOOLS, automatic_function_calling=MANUAL)
        calls = [call for chunk in chunks for call in chunk.function_calls or []]
        self.assertEqual([call.args for call in calls], [gateway.WEATHER_ARGUMENTS] * 2)

    def test_a_python_function_is_called(self):
        seen = []

        def weather(city: str, days: int) -> str:
            """The weather."""
            seen.append((city, days))
            return "sunny"

        self.assertEqual(self.generate("use a tool", tools=[weather]).text, gateway.TEXT)
        self.assertEqual(seen, [("text", 1)])

    def test_structured_output(self):
        answer = self.generate("plan", response_mime_type="application/json", response_json_schema=gateway.WEATHER)
        self.assertEqual(json.loads(answer.text), gateway.WEATHER_ARGUMENTS)

    def test_image_and_system_in(self):
        image = types.Part.from_bytes(data=base64.b64decode(gateway.PNG), mime_type="image/png")
        text = self.generate([image, "describe"], system_instruction="be kind").text
        self.assertIn("images=1", text)
        self.assertIn("system_chars=7", text)

    def test_token_limit(self):
        answer = self.generate(max_output_tokens=3)
        self.assertEqual((answer.text, answer.candidates[0].finish_reason), ("word0 word1 word2", types.FinishReason.MAX_TOKENS))

    def test_tokens_are_counted(self):
        self.assertGreater(client().models.count_tokens(model=self.model, contents="hello there").total_tokens, 0)


class OnGemini(Generate, unittest.TestCase):
    model = gateway.GEMINI


class OnOpenai(Generate, unittest.TestCase):
    model = gateway.OPENAI


class OnClaude(Generate, unittest.TestCase):
    model = gateway.CLAUDE


class Embeddings(unittest.TestCase):
    def test_one_vector_for_each_text(self):
        for model in (gateway.GEMINI, gateway.OPENAI):
            with self.subTest(model):
                embeddings = client().models.embed_content(model=model, contents=["a", "b"]).embeddings
                self.assertEqual(len(embeddings), 2)
                self.assertTrue(all(embedding.values for embedding in embeddings))


class Errors(unittest.TestCase):
    def test_each_has_its_class_and_code(self):
        for model, key, kind, code in (
            (gateway.GEMINI, "no-such-key-at-all-00", errors.ClientError, 401),
            (gateway.GEMINI, gateway.NARROW_KEY, errors.ClientError, 403),
            ("no-such-model", gateway.KEY, errors.ClientError, 404),
            ("gemini-429", gateway.KEY, errors.ClientError, 429),
            ("gemini-too-long", gateway.KEY, errors.ClientError, 400),
            ("openai-429", gateway.KEY, errors.ClientError, 429),
            ("anthropic-too-long", gateway.KEY, errors.ClientError, 400),
            ("gemini-500", gateway.KEY, errors.ServerError, 502),
        ):
            with self.subTest(model), self.assertRaises(kind) as raised:
                client(key).models.generate_content(model=model, contents="hello")
            self.assertEqual(raised.exception.code, code, model)
            self.assertTrue(raised.exception.message and raised.exception.status, model)

    def test_a_broken_stream_raises(self):
        for model in ("gemini-cut", "openai-cut", "anthropic-inband"):
            text = ""
            with self.subTest(model):
                with self.assertRaises(errors.ServerError):
                    for chunk in client().models.generate_content_stream(model=model, contents="hello"):
                        text += chunk.text or ""
                self.assertEqual(text, "word0 word1 word2")


class Gateway(unittest.TestCase):
    def test_models_are_listed(self):
        # Below /v1 the list is OpenAI's: its path is the same.
        config = types.ListModelsConfig(http_options=types.HttpOptions(api_version="v1beta"))
        self.assertIn(f"models/{gateway.ECHO}", [model.name for model in client().models.list(config=config)])
