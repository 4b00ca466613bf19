"""Where the gateway is, and what the mock behind it says."""

import os

URL = os.environ["RINGWAY_URL"]
KEY = os.environ["RINGWAY_KEY"]
NARROW_KEY = os.environ["RINGWAY_NARROW_KEY"]

OPENAI = "openai/mock"
CLAUDE = "anthropic/mock"
GEMINI = "gemini/mock"
ECHO = "ringway/echo"

# `loadtest mock --tokens 8`: eight words, each one token; ten tokens in.
TEXT = "word0 word1 word2 word3 word4 word5 word6 word7"
TOKENS_IN = 10
TOKENS_OUT = 8

# One red pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
# What the mock fills into WEATHER.
WEATHER_ARGUMENTS = {"city": "text", "days": 1}
