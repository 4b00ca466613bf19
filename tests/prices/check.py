"""`check.py CATALOG_PROGRAM FILE.json[.gz] [COMMITTED.tsv]`: every entry of a price file priced by the gateway and by the oracle.

The program makes a catalog from the file, which must be the committed one where that is given, and prices a grid of usages
with it; each answer must be the oracle's, to the nano-dollar. Prints every difference up to twenty and `N passed, M failed`.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from oracle import TARIFFS, Entry, load

# 2026-11-20 is a Friday, the 22nd a Sunday: noon, around the hours that price lists change at, midnight.
MIDNIGHT = 1_795_132_800
TIMES = [MIDNIGHT + hour * 3_600 + minute * 60 for hour, minute in [(12, 0), (0, 0), (0, 29), (0, 30), (16, 29), (16, 30), (19, 0), (60, 0)]]

ONE = {"requests": 1, "queries": 1}
USAGES = [
    {**ONE},
    {"input": 1},
    {"input": 7, "output": 3, **ONE},
    {"input": 1_234, "output": 567, "cached_read": 1_000, **ONE},
    {"input": 9_999, "output": 1, "cached_write": 5_000, "cached_write_1h": 1_111, "cached_read": 77, **ONE},
    {"input": 4_000, "output": 9, "cached_write": 10, "cached_write_1h": 20, "cached_write_12h": 30, **ONE},
    {"input": 800, "output": 2_000, "reasoning": 1_500, "audio_input": 300, "audio_output": 400, **ONE},
    {"input": 50, "cached_read": 60, "audio_input": 60, "output": 10, "reasoning": 20, **ONE},
    {"input": 333, "output": 1_290, "image_input": 250, "image_output": 1_290, "images": 1, "images_read": 1, **ONE},
    {"input": 31, "images": 3, **ONE},
    {"images": 2},
    {"audio_ms": 12_345, **ONE},
    {"audio_ms": 1, "input": 3, "output": 5},
    {"characters": 4_321, **ONE},
    {"characters": 7, "input": 2},
    {"pages": 13, **ONE},
    {"input": 500, "output": 300, "searches_medium": 2, "citations": 1_000, **ONE},
    {"input": 5, "output": 3, "searches_low": 1, "searches_high": 3, "maps_queries": 2, "file_searches": 5, "code_sessions": 1},
    {"input": 12_345_678, "output": 7_654_321, "cached_read": 2_345_678, **ONE},
]


def grid(entry: Entry):
    """Usages around every threshold of the entry, under every tariff, in and out of off-peak hours, with margins."""
    near = []
    for above in entry.thresholds():
        for prompt in (above - 1, above, above + 1):
            if prompt > 0:
                near.append({"input": prompt, "output": 11, "cached_read": prompt // 3, "cached_write": prompt // 5, "reasoning": 5, **ONE})
    for units, tariff in product(USAGES + near, TARIFFS):
        yield units, tariff, TIMES[0], "0%"
    if "off_peak_pricing" in entry.fields:
        for units, tariff, at in product(USAGES[2:7], TARIFFS, TIMES):
            yield units, tariff, at, "0%"
    for units, margin in product(USAGES[2:6], ["10%", "-12.5%", "3.141592%", "-100%"]):
        yield units, "standard", TIMES[0], margin


def run(program: str, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def main(program: str, path: str, committed: str | None = None) -> int:
    raw = Path(path).read_bytes()
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        source, catalog = Path(folder, "prices.json"), Path(folder, "catalog.tsv")
        source.write_text(text)
        report = run(program, "make", str(source), str(catalog))
        made = catalog.read_text()
        if committed and made != Path(committed).read_text():
            failures.append(f"{committed} is not what the program makes from {path}; run it again")
        taken = {(row[1], row[0]) for row in (line.split("\t") for line in made.splitlines() if line and line[0] != "#")}
        # What the program leaves out it must say.
        said = report.split("entries left out", 1)[1]
        entries, questions, expected = 0, [], []
        for name, fields in load(text).items():
            provider = fields.get("litellm_provider") if isinstance(fields, dict) else None
            if (provider, name) not in taken:
                if f"\n  {name}: " not in said:
                    failures.append(f"{name} was left out without a word")
                continue
            entries += 1
            entry = Entry(name, fields)
            for units, tariff, at, margin in grid(entry):
                question = {"id": name, "provider": provider, "tariff": tariff, "at": at, "margin": margin, "units": units}
                questions.append(json.dumps(question))
                expected.append(entry.price(units, tariff, at, margin))
        answers = run(program, "price", str(catalog), stdin="\n".join(questions) + "\n").splitlines()
    wrong = [f"{question}\n    gateway {answer}, oracle {right}" for question, answer, right in zip(questions, answers, expected, strict=True) if answer != right]
    for line in (failures + wrong)[:20]:
        print(line)
    numbers = sum(answer.isdigit() for answer in answers)
    print(f"count: {entries} entries of {Path(path).name}, {len(answers)} usages, {numbers} of them priced, {len(said.splitlines()) - 2} entries left out")
    if not entries or not numbers:
        failures.append("nothing was compared")
    failed = len(wrong) + len(failures)
    print(f"{len(answers) - len(wrong)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
