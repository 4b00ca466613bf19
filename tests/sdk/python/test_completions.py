"""The OpenAI SDK's text completions, from before chat: on their own servers and on chat models."""

import unittest

import openai

import gateway


def client() -> openai.OpenAI:
    return openai.OpenAI(api_key=gateway.KEY, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20)


MODELS = (gateway.OPENAI, gateway.CLAUDE, "cohere/mock", "ollama/mock", gateway.ECHO)


class Completions(unittest.TestCase):
    def test_whole_answer(self):
        for model in MODELS:
            with self.subTest(model):
                answer = client().completions.create(model=model, prompt="hello", max_tokens=100)
                self.assertEqual((answer.object, answer.choices[0].finish_reason), ("text_completion", "stop"))
                self.assertEqual(answer.choices[0].text, "hello" if model == gateway.ECHO else gateway.TEXT)
                self.assertGreater(answer.usage.completion_tokens, 0)

    def test_streamed_answer(self):
        for model in MODELS:
            with self.subTest(model):
                chunks = list(
                    client().completions.create(
                        model=model, prompt=["hello"], max_tokens=100, stream=True, stream_options={"include_usage": True}
                    )
                )
                text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
                self.assertEqual(text, "hello" if model == gateway.ECHO else gateway.TEXT)
                self.assertEqual([choice.finish_reason for chunk in chunks for choice in chunk.choices][-1], "stop")
                self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_what_a_chat_model_cannot_do_is_refused(self):
        for fields in ({"suffix": "end"}, {"echo": True}, {"prompt": ["a", "b"]}, {"logprobs": 2}):
            with self.subTest(fields), self.assertRaises(openai.BadRequestError):
                client().completions.create(**{"model": gateway.CLAUDE, "prompt": "hello", "max_tokens": 100, **fields})
