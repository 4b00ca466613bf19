"""The oracle of an accounting run: what each exchange must have cost, by the mock's ledger and the price file alone.

For every exchange that a client sent there is one record. Each of its attempts is found in the mock's ledger, in order; what the
mock reported to the end is what the record must say, and its price, in exact fractions, what it must cost. Where a stream was
left or broke, the record names what was delivered: its tokens are held against what the mock had sent, and priced as they stand.
The sums must be what the gateway has settled on every budget, to the nano-dollar.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import itertools
import json
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "prices"))
import oracle  # noqa: E402

# A word of the mock is at most so many tokens of any counter, and so many bytes.
TOKENS_PER_EVENT_MAX = 6
# The words of a request, by any counter.
REQUEST_TOKENS_MAX = 160
TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
SHOWN_MAX = 20


class Run:
    def __init__(self, prices: dict, aliases: dict):
        self.prices, self.aliases = prices, aliases
        self.entries: dict[str, oracle.Entry] = {}
        self.wrong: list[str] = []
        self.wrong_count = 0
        self.counts = collections.Counter()
        self.by_key = collections.defaultdict(int)
        self.tokens_by_key = collections.defaultdict(int)

    def fail(self, who, what: str) -> None:
        self.wrong_count += 1
        if len(self.wrong) < SHOWN_MAX:
            self.wrong.append(f"exchange {who}: {what}")

    def price(self, model: str, usage: dict, tariff: str, at: int) -> int:
        name = self.aliases.get(model, model)
        entry = self.entries.get(name)
        if entry is None:
            entry = self.entries[name] = oracle.Entry(name, self.prices[name])
        units = {kind: count for kind, count in usage.items() if count}
        if not units:
            return 0
        return int(entry.price(units, tariff, at, "0"))


def words(line: dict) -> dict:
    """The figures that the request told the mock to report."""
    found = dict(word.split("=", 1) for word in line["words"].split())
    return {name: found[name] if name == "tier" else int(found[name]) for name in found}


def reported(line: dict) -> dict:
    """The usage that the mock reports at the end, as its dialect tells it."""
    told = words(line)
    if "/messages" in line["path"]:
        return {"input": told["input"], "output": told["output"], "cached_read": told["cached"], "cached_write": told["written"]}
    usage = {"input": told["input"], "output": told["output"] + told["reasoning"], "cached_read": told["cached"]}
    return usage | {"reasoning": told["reasoning"]}


def nanos(text: str) -> int:
    return int(Decimal(text) * 10**9)


def seconds(at: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp())


def attempts_of(record: dict) -> list[dict]:
    """Each attempt with its usage and what it was counted from; the record's own are the last one's."""
    attempts = [dict(attempt) for attempt in record["attempts"]]
    if attempts:
        last = attempts[-1]
        last["usage"] = record["usage"]
        if record["provenance"] == "delivered" and "delivered_bytes" in record:
            last["delivered_bytes"] = record["delivered_bytes"]
        last["tier"] = record.get("tier")
    return attempts


def check_attempt(run: Run, who: str, record: dict, attempt: dict, line: dict | None) -> int:
    usage = {kind: count for kind, count in attempt.get("usage", {}).items() if count}
    cost = nanos(attempt.get("cost_usd", "0"))
    if attempt["provider"] == "ringway":
        run.counts["answered inside"] += 1
        if cost:
            run.fail(who, f"the gateway's own answer costs {cost} nano-dollars")
        return cost
    if line is None:
        if usage:
            run.fail(who, f"usage {usage} of an attempt that never reached the provider")
        return cost
    told = {kind: count for kind, count in reported(line).items() if count}
    if "delivered_bytes" in attempt:
        run.counts["delivered"] += 1
        events = line["events_sent"]
        if usage.get("output", 0) > max(TOKENS_PER_EVENT_MAX * events, 1):
            run.fail(who, f"{usage} counted, but the mock had sent {events} events")
        if usage.get("input", 0) not in (told["input"], *range(REQUEST_TOKENS_MAX)):
            run.fail(who, f"{usage} counted, told {told}")
    elif usage and usage != told:
        run.fail(who, f"{usage} on the record, the mock reported {told}")
    elif not usage and line["status"] == 200 and not attempt.get("fault") and not line["left"]:
        run.fail(who, f"nothing counted of an answer that was whole: {told}")
    elif usage:
        run.counts["reported"] += 1
    # The mock tells the tier with its first event.
    tariff = TIERS[words(line)["tier"]]
    if attempt.get("tier") and usage and attempt["tier"] != tariff:
        run.fail(who, f"tier {attempt['tier']}, the mock said {tariff}")
    expected = run.price(line["model"], usage, tariff, seconds(record["at"]))
    if cost != expected:
        run.fail(who, f"{attempt['model']} {usage} {tariff} costs {expected} nano-dollars, the record says {cost}")
    return cost


def run_of(calls, model: str) -> int:
    """How many of the first calls in a row are of `model`."""
    return sum(1 for _ in itertools.takewhile(lambda call: call["model"] == model, calls))


def check(run: Run, records: list[dict], lines: list[dict], sent: dict) -> None:
    if len(records) != 1:
        run.fail(sent["id"], f"{len(records)} records")
        return
    record, who = records[0], sent["id"]
    run.counts["left" if sent["left"] else "stayed"] += 1
    run.counts[f"status {record['status']}"] += 1
    attempts = attempts_of(record)
    if len(attempts) > 1:
        run.counts["more than one attempt"] += 1
    if record.get("rescued"):
        run.counts["rescued"] += 1
    # An attempt that was left before the request was whole is in the record alone.
    remaining = collections.deque(lines)
    total = 0
    for index, attempt in enumerate(attempts):
        line = remaining.popleft() if remaining and remaining[0]["model"] == attempt["model"] else None
        # One attempt sends again where a connection that was kept alive closed without a byte: it may have been stale.
        while line and line["status"] == 0 and run_of(remaining, line["model"]) > run_of(attempts[index + 1 :], line["model"]):
            run.counts["sent again"] += 1
            line = remaining.popleft()
        total += check_attempt(run, who, record, attempt, line)
    if remaining:
        run.fail(who, f"the mock saw {len(lines)} requests, the record has {len(attempts)} attempts")
    if nanos(record.get("cost_usd", "0")) != total:
        run.fail(who, f"the record costs {record.get('cost_usd')}, its attempts {total} nano-dollars")
    if not sent["left"] and sent["status"] and sent["status"] != record["status"]:
        run.fail(who, f"the client got {sent['status']}, the record says {record['status']}")
    run.by_key[record["key"]] += total
    usages = [attempt.get("usage", {}) for attempt in attempts]
    run.tokens_by_key[record["key"]] += sum(usage.get("input", 0) + usage.get("output", 0) for usage in usages)


def by_id(path: Path, name: str, number) -> dict[int, list[str]]:
    """The lines of each exchange, as text: a million of them parsed at once would take gigabytes."""
    found = collections.defaultdict(list)
    with path.open() as file:
        for text in file:
            if text.startswith("{"):
                line = json.loads(text)
                if name in line:
                    found[number(line)].append(text)
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("records", "ledger", "sent", "standings", "aliases", "prices"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    opened = gzip.open(given.prices, "rt") if given.prices.suffix == ".gz" else given.prices.open()
    run = Run(oracle.load(opened.read()), json.loads(given.aliases.read_text()))
    records = by_id(given.records, "client_request_id", lambda line: int(line["client_request_id"]))
    ledger = by_id(given.ledger, "words", lambda line: words(line)["exchange"])
    sent_count = 0
    with given.sent.open() as file:
        for text in file:
            sent = json.loads(text)
            sent_count += 1
            lines = sorted(map(json.loads, ledger.get(sent["id"], [])), key=lambda line: line["index"])
            check(run, list(map(json.loads, records.get(sent["id"], []))), lines, sent)
    for extra in set(records) - set(range(sent_count)):
        run.fail(extra, "a record of nothing that was sent")
    # What the gateway says that it has settled, and that nothing is promised any more.
    for key in json.loads(given.standings.read_text())["data"]:
        for quota in key["quotas"]:
            if quota["reserved"] != 0:
                run.fail(key["name"], f"{quota['id']}: {quota['reserved']} still reserved")
            if quota["id"] == f"key/{key['name']}/usd/1mo" and round(quota["settled"] * 10**9) != run.by_key[key["name"]]:
                run.fail(key["name"], f"settled {quota['settled']} USD, the records sum up to {run.by_key[key['name']]} nano-dollars")
            if quota["id"] == f"key/{key['name']}/budget-tokens/1mo" and quota["settled"] != run.tokens_by_key[key["name"]]:
                run.fail(key["name"], f"settled {quota['settled']} tokens, the records sum up to {run.tokens_by_key[key['name']]}")
    team = sum(run.by_key.values())
    print(f"count: {sent_count} exchanges, {team / 10**9:.9f} USD")
    for name, count in sorted(run.counts.items()):
        print(f"count: {name}: {count}")
    for wrong in run.wrong:
        print(wrong)
    print(f"{sent_count - run.wrong_count} passed, {run.wrong_count} failed")
    return 1 if run.wrong_count else 0


if __name__ == "__main__":
    sys.exit(main())
