"""What a price file says that usage costs, worked out from the file itself in exact fractions, and the questions to compare by.

It shares no code and no table with the gateway: it reads the file's own keys. The rules are those that the table of
policy/src/cost/family.rs states.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cache

TARIFFS = {"standard": [""], "batch": ["_batches", "_batch_requests"], "flex": ["_flex"], "priority": ["_priority"]}
TEXT_MODES = {"chat", "completion", "responses", "embedding", "rerank", "moderation"}
IMAGE_MODES = {"image_generation", "image_edit"}
SEARCH = "search_context_cost_per_query"

# Tokens of prompt and answer: unit, the keys that price it, what stands in for it. In the order in which they are counted out.
PROMPT = [
    ("cached_read", ["cache_read_input_token_cost", "input_cost_per_token_cache_hit", "explicit_cache_read_input_token_cost"], ["input"]),
    ("cached_write_12h", ["cache_creation_input_token_cost_above_12hr"], ["cached_write_1h", "cached_write", "input"]),
    ("cached_write_1h", ["cache_creation_input_token_cost_above_1hr"], ["cached_write", "input"]),
    ("cached_write", ["cache_creation_input_token_cost"], ["input"]),
    ("audio_input", ["input_cost_per_audio_token"], ["input"]),
    ("image_input", ["input_cost_per_image_token"], ["input"]),
    ("input", ["input_cost_per_token"], []),
]
ANSWER = [
    ("reasoning", ["output_cost_per_reasoning_token"], ["output"]),
    ("audio_output", ["output_cost_per_audio_token"], ["output"]),
    ("image_output", ["output_cost_per_image_token"], ["output"]),
    ("output", ["output_cost_per_token"], []),
]
TOKENS = {name: (keys, instead) for name, keys, instead in PROMPT + ANSWER}


def load(text: str) -> dict:
    """The file, its numbers as they are written."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def exact(value) -> Fraction | None:
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    return Fraction(str(value).strip()) if not isinstance(value, Decimal) else Fraction(value)


def priced(value) -> bool:
    """It has a number somewhere below a key about money."""
    return exact(value) is not None


class Entry:
    """One model of the file."""

    def __init__(self, name: str, fields: dict):
        self.name, self.fields = name, fields
        self.mode = fields.get("mode")
        self.tiers = [tier for tier in fields.get("tiered_pricing") or [] if "max_results_range" not in tier]
        self.by_results = [tier for tier in fields.get("tiered_pricing") or [] if "max_results_range" in tier]
        # An entry answers a hundred questions with the same few rates.
        self.at_tier = cache(self.at_tier)
        self.thresholds = cache(self.thresholds)
        self.has_price = cache(self.has_price)
        self.counted = cache(self.counted)
        self.token_rate_or_instead = cache(self.token_rate_or_instead)
        self.is_off_peak = cache(self.is_off_peak)

    def thresholds(self) -> list[int]:
        found = {0}
        for key in self.fields:
            for number, thousand in re.findall(r"_above_(\d+)(k?)_tokens", key):
                found.add(int(number) * (1000 if thousand else 1))
        found.update(int(tier["range"][0]) for tier in self.tiers if "range" in tier)
        return sorted(found)

    def at_tier(self, key: str, above: int, tariff: str) -> Fraction | None:
        """The rate that is written for exactly this tier and tariff."""
        for tier in self.tiers:
            if int(tier["range"][0] if "range" in tier else 0) == above:
                for ending in TARIFFS[tariff]:
                    if priced(tier.get(key + ending)):
                        return exact(tier[key + ending])
        forms = [""] if above == 0 else [f"_above_{above}_tokens"] + ([f"_above_{above // 1000}k_tokens"] if above % 1000 == 0 else [])
        for form in forms:
            for ending in TARIFFS[tariff]:
                for name in dict.fromkeys((key + form + ending, key + ending + form)):
                    if priced(self.fields.get(name)):
                        return exact(self.fields[name])
        return None

    def tiered(self, key: str, prompt: int, tariff: str) -> Fraction | None:
        for above in reversed(self.thresholds()):
            if above == 0 or prompt > above:
                for name in dict.fromkeys((tariff, "standard")):
                    rate = self.at_tier(key, above, name)
                    if rate is not None:
                        return rate
        return None

    def is_off_peak(self, at: int) -> bool:
        block = self.fields.get("off_peak_pricing")
        if not isinstance(block, dict) or block.get("weekday_timezone", "UTC") != "UTC":
            return False
        now = datetime.fromtimestamp(at, timezone.utc)
        windows = list(block.get("windows") or [])
        if "hours_utc" in block:
            windows.append({"hours_utc": block["hours_utc"]})
        for window in windows:
            days = window.get("weekdays")
            if days is not None and now.isoweekday() not in {weekday(day) for day in days}:
                continue
            spans = window["hours_utc"]
            for span in [spans] if isinstance(spans, str) else spans:
                start, end = (minutes(part) for part in span.split("-"))
                minute = now.hour * 60 + now.minute
                if start == end or (start < end and start <= minute < end) or (start > end and (minute >= start or minute < end)):
                    return True
        return False

    def token_rate(self, unit: str, prompt: int, tariff: str, at: int) -> Fraction | None:
        """The unit's own rate."""
        keys = TOKENS[unit][0]
        if tariff == "standard" and self.is_off_peak(at):
            for key in keys:
                if priced(self.fields["off_peak_pricing"].get(key)):
                    return exact(self.fields["off_peak_pricing"][key])
        # The first key that is written for a tier and tariff holds there.
        for above in reversed(self.thresholds()):
            if above == 0 or prompt > above:
                for name in dict.fromkeys((tariff, "standard")):
                    for key in keys:
                        rate = self.at_tier(key, above, name)
                        if rate is not None:
                            return rate
        return None

    def token_rate_or_instead(self, unit: str, *rest) -> Fraction | None:
        for name in [unit, *TOKENS[unit][1]]:
            rate = self.token_rate(name, *rest)
            if rate is not None:
                return rate
        return None

    def image(self, prompt: int, tariff: str) -> Fraction | None:
        rate = self.tiered("output_cost_per_image", prompt, tariff)
        if self.at_tier("output_cost_per_image", 0, "standard") is not None:
            return rate
        instead = None
        if self.mode in IMAGE_MODES:
            if priced(self.fields.get("input_cost_per_image")):
                instead = exact(self.fields["input_cost_per_image"])
            else:
                pixels = [exact(self.fields.get(f"{side}_cost_per_pixel")) for side in ("input", "output")]
                size = next(iter(re.findall(r"(?:^|/)(\d+)-x-(\d+)(?=/|$)", self.name)), None)
                if size and any(pixel is not None for pixel in pixels):
                    instead = sum(pixel or 0 for pixel in pixels) * int(size[0]) * int(size[1])
        if instead is None:
            sizes = [exact(value) for key, value in self.fields.items() if re.match(r"output_cost_per_image_\d", key) and priced(value)]
            instead = max(sizes, default=None)
        return rate if rate is not None else instead

    def image_read(self, prompt: int, tariff: str) -> Fraction | None:
        if self.mode in IMAGE_MODES and self.at_tier("output_cost_per_image", 0, "standard") is None:
            return None
        return self.tiered("input_cost_per_image", prompt, tariff) if priced(self.fields.get("input_cost_per_image")) else None

    def seconds(self, prompt: int, tariff: str) -> Fraction | None:
        if self.mode in TEXT_MODES or self.mode == "video_generation":
            return None
        keys = ["input_cost_per_second", "output_cost_per_second", "input_cost_per_audio_per_second", "cost_per_second"]
        return max((rate for key in keys if (rate := self.tiered(key, prompt, tariff)) is not None), default=None)

    def characters(self, prompt: int, tariff: str) -> Fraction | None:
        if self.mode in TEXT_MODES:
            return None
        keys = ["input_cost_per_character", "output_cost_per_character"]
        return next((rate for key in keys if (rate := self.tiered(key, prompt, tariff)) is not None), None)

    def queries(self, prompt: int, tariff: str) -> Fraction | None:
        rate = self.tiered("input_cost_per_query", prompt, tariff)
        by_results = [exact(tier["input_cost_per_query"]) for tier in self.by_results if priced(tier.get("input_cost_per_query"))]
        return max([*by_results, *([rate] if rate is not None else [])], default=None)

    def search(self, sizes: list[str]) -> Fraction | None:
        fees = self.fields.get(SEARCH)
        if not isinstance(fees, dict):
            return None
        return next((exact(fees[name]) for size in sizes if priced(fees.get(name := f"search_context_size_{size}"))), None)

    def counted(self, prompt: int, tariff: str) -> dict[str, Fraction | None]:
        """The rates of what is not counted in tokens."""
        plain = lambda key: self.tiered(key, prompt, tariff)
        per_1k = plain("file_search_cost_per_1k_calls")
        return {
            "citations": plain("citation_cost_per_token"),
            "images": self.image(prompt, tariff),
            "images_read": self.image_read(prompt, tariff),
            "audio_ms": None if (rate := self.seconds(prompt, tariff)) is None else rate / 1000,
            "characters": self.characters(prompt, tariff),
            "pages": plain("ocr_cost_per_page"),
            "requests": plain("input_cost_per_request"),
            "queries": self.queries(prompt, tariff),
            "searches_low": self.search(["low", "medium", "high"]),
            "searches_medium": self.search(["medium", "high", "low"]),
            "searches_high": self.search(["high", "medium", "low"]),
            "maps_queries": plain("google_maps_grounding_cost_per_query"),
            "file_searches": None if per_1k is None else per_1k / 1000,
            "code_sessions": plain("code_interpreter_cost_per_session"),
        }

    def has_price(self) -> bool:
        """Anything in it is charged for, by any of the rules."""
        at_any = [(2**40, tariff) for tariff in TARIFFS]
        tokens = any(self.at_tier(key, above, tariff) is not None for keys, _ in TOKENS.values() for key in keys for above in self.thresholds() for tariff in TARIFFS)
        return tokens or any(rate is not None for prompt, tariff in at_any for rate in self.counted(prompt, tariff).values())

    def price(self, units: dict, tariff: str, at: int, margin: str) -> str:
        """Nano-dollars as text, `missing RATE`, or `unpriced`."""
        if not self.has_price():
            return "unpriced"
        prompt = units.get("input", 0)
        rates = self.counted(prompt, tariff)
        count = dict(units)
        own = lambda unit: self.token_rate(unit, prompt, tariff, at)
        for images, tokens in (("images", "image_output"), ("images_read", "image_input")):
            if count.get(images) and rates[images] is not None:
                count[images if shares(units)[tokens] and own(tokens) is not None else f"no {tokens}"] = 0
        total, any_counted, missing = Fraction(0), False, []
        for unit, tokens in shares(units).items():
            if not tokens or count.get(f"no {unit}") == 0:
                continue
            rate = self.token_rate_or_instead(unit, prompt, tariff, at)
            if rate is None:
                missing.append("input" if unit in {name for name, *_ in PROMPT} else "output")
            else:
                total += rate * tokens
        names = {"images": "image", "audio_ms": "second", "characters": "character", "pages": "page"}
        for unit, rate in rates.items():
            if not count.get(unit):
                continue
            if rate is not None:
                total, any_counted = total + rate * count[unit], True
            elif unit in names and not units.get("input") and not units.get("output"):
                missing.append(names[unit])
        if missing and not any_counted:
            return f"missing {missing[0]}"
        total *= 1 + Fraction(margin.rstrip("%")) / 100
        # Python rounds halves to even, too.
        return str(min(round(total * 10**9), 2**64 - 1))


def shares(units: dict) -> dict[str, int]:
    """Tokens by kind, none of them twice."""
    found = {}
    prompt = units.get("input", 0)
    found["cached_read"] = min(prompt, units.get("cached_read", 0))
    prompt -= found["cached_read"]
    longer = [units.get("cached_write_12h", 0), units.get("cached_write_1h", 0)]
    written = min(prompt, max(units.get("cached_write", 0), sum(longer)))
    prompt -= written
    found["cached_write_12h"] = min(written, longer[0])
    found["cached_write_1h"] = min(written - found["cached_write_12h"], longer[1])
    found["cached_write"] = written - found["cached_write_12h"] - found["cached_write_1h"]
    for unit in ("audio_input", "image_input"):
        found[unit] = min(prompt, units.get(unit, 0))
        prompt -= found[unit]
    found["input"] = prompt
    answer = units.get("output", 0)
    for unit in ("reasoning", "audio_output", "image_output"):
        found[unit] = min(answer, units.get(unit, 0))
        answer -= found[unit]
    found["output"] = answer
    return found


def minutes(text: str) -> int:
    hour, minute = text.strip().split(":")
    return (int(hour) * 60 + int(minute)) % 1440


def weekday(day) -> int:
    names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    text = str(day).lower()
    return int(text) if text.isdigit() else 1 + next(index for index, name in enumerate(names) if name.startswith(text))
