"""Ordinary texts pass the checks of replies.

How many of 10,000 Alpaca records each check refuses as an instruction (its input joined, two other records shown in full) and
as a response (seed 7; printed by `test_ordinary_texts`): placeholder 0, copies the prompt 0, copies a record 0, asks for nothing 0,
speaks of its own prompt 0, repeats the instruction 3, refuses the task 1 (of all 52,002 outputs: 3, each a true refusal).
The last three words of each instruction as keywords: placeholder 0, equal keywords 1, a list as one keyword 1, a sentence as one
keyword 0. Of 3,000 others in the second edition, with three short records as demonstrations, none.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from gra.synthesis import prompts
from gra.synthesis.committee.records import DOMAINS, Record
from gra.synthesis.prompts.schemas import Instruction, Keywords
from gra.synthesis.replies.reading import kind_of
from gra.synthesis.replies.usable import fault_in

ALPACA = Path(__file__).parents[3].parent / "shared" / "data" / "seeds" / "alpaca" / "alpaca_data.json.gz"


@pytest.mark.slow
@pytest.mark.skipif(not ALPACA.is_file(), reason="../shared/data/seeds/alpaca/alpaca_data.json.gz is not here")
def test_ordinary_texts(capsys: pytest.CaptureFixture[str]) -> None:
    """Measured on 10,000 records of Alpaca: no instruction and no response is refused, two sets of keywords are. The bound
    of this test is 1 in 1,000 for each check."""
    with gzip.open(ALPACA) as file:
        whole = json.load(file)
    rng = random.Random(7)
    refused: Counter[str] = Counter()
    for given in rng.sample(whole, 10_000):
        text = "\n\n".join(part for part in (given["instruction"].strip(), given["input"].strip()) if part)[:8000]
        records = [_record(rng.choice(whole), rng) for _ in range(2)]
        values = {"domain": "coding", "records": records, "show": "full", "keywords": ("alpha", "beta", "gamma")}
        fault = fault_in(
            "instruction", Instruction(instruction=text), prompts.render("instruction", "classic", **values), values
        )
        refused[kind_of(fault) if fault else "usable"] += 1
        if given["output"].strip():
            asked = {"instruction": text}
            fault = fault_in("respond", given["output"].strip(), prompts.render("respond", "classic", **asked), asked)
            refused[kind_of(fault) if fault else "usable"] += 1
        words = list(dict.fromkeys(w.casefold().strip(".,:;?!\"'") for w in given["instruction"].split()))[-3:]
        if len(words) == 3 and all(any(c.isalnum() for c in w) for w in words):
            three, asked = Keywords(keywords=[w[:80] for w in words]), prompts.render("keywords", "classic", **values)
            fault = fault_in("keywords", three, asked, values)
            refused[f"keywords: {kind_of(fault)}" if fault else "usable"] += 1
    short = [given for given in whole if len(given["instruction"]) <= 240 and not given["input"]]
    for given in rng.sample(whole, 3000):  # second edition
        text = "\n\n".join(part for part in (given["instruction"].strip(), given["input"].strip()) if part)[:8000]
        turns = [_record(rng.choice(short), rng) for _ in range(3)]
        values = {"domain": rng.choice(DOMAINS), "keywords": ("alpha", "beta", "gamma"), "demonstrations": turns}
        fault = fault_in(
            "instruction", Instruction(instruction=text), prompts.render("instruction", "turns", **values), values
        )
        refused[f"turns: {kind_of(fault)}" if fault else "usable"] += 1
        if given["output"].strip():
            asked = {"instruction": text}
            fault = fault_in("respond", given["output"].strip(), prompts.render("respond", "turns", **asked), asked)
            refused[f"turns: {kind_of(fault)}" if fault else "usable"] += 1
    with capsys.disabled():
        print(f"\n  refused of 10,000 Alpaca records: {dict(refused)}")
    assert not any(kind.startswith("turns") and count > 3 for kind, count in refused.items()), refused
    assert all(count <= 10 for kind, count in refused.items() if kind != "usable"), refused


def _record(given: dict[str, str], rng: random.Random) -> Record:
    words = [*given["instruction"].split(), "one", "two", "three"]
    summary = " ".join(words[:14])
    return Record(
        "r", given["instruction"], given["output"], rng.choice(DOMAINS), (words[0], words[1], words[2]), summary
    )
