"""Instructor over the OpenAI and Anthropic SDKs, on several providers."""

import unittest

import anthropic
import instructor
import openai
from instructor.core import InstructorRetryException
from pydantic import BaseModel

import gateway

MODELS = [gateway.OPENAI, gateway.CLAUDE, gateway.GEMINI]


class Forecast(BaseModel):
    """A forecast: use a tool."""

    city: str
    days: int


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def over_openai(mode, key=gateway.KEY):
    return instructor.from_openai(openai.OpenAI(api_key=key, base_url=f"{gateway.URL}/v1", max_retries=0, timeout=20), mode=mode)


def over_anthropic(mode, key=gateway.KEY):
    return instructor.from_anthropic(anthropic.Anthropic(api_key=key, base_url=gateway.URL, max_retries=0, timeout=20), mode=mode)


class Structured(unittest.TestCase):
    def test_each_mode_gives_the_model(self):
        for over, mode in (
            (over_openai, instructor.Mode.TOOLS),
            (over_openai, instructor.Mode.JSON_SCHEMA),
            (over_anthropic, instructor.Mode.TOOLS),
        ):
            for model in MODELS:
                with self.subTest(f"{over.__name__} {mode} {model}"):
                    answer = over(mode).create(
                        model=model, messages=user("use a tool"), response_model=Forecast, max_tokens=100, max_retries=1
                    )
                    self.assertEqual((answer.city, answer.days), ("text", 1))

    def test_a_partial_stream_ends_complete(self):
        for model in MODELS:
            with self.subTest(model):
                parts = over_openai(instructor.Mode.TOOLS).create_partial(
                    model=model, messages=user("use a tool"), response_model=Forecast, max_retries=1
                )
                last = list(parts)[-1]
                self.assertEqual((last.city, last.days), ("text", 1))

    def test_errors_keep_the_sdks_own(self):
        for over, kind in ((over_openai, openai.RateLimitError), (over_anthropic, anthropic.RateLimitError)):
            with self.subTest(over.__name__), self.assertRaises((InstructorRetryException, kind)) as raised:
                over(instructor.Mode.TOOLS).create(
                    model="anthropic-429", messages=user("hello"), response_model=Forecast, max_tokens=100, max_retries=1
                )
            causes, error = [], raised.exception
            while error is not None:
                causes.append(error)
                error = error.__cause__
            self.assertTrue(any(isinstance(cause, kind) for cause in causes), causes)
