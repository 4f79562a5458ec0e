"""Replies that read well and are of no use. What the checks refuse, and that they leave ordinary texts alone.

How many of 10,000 Alpaca records each check refuses as an instruction (its input joined, two other records shown in full) and
as a response (seed 7; printed by `test_ordinary_texts`): placeholder 0, copies the prompt 0, copies a record 0, asks for nothing 0,
speaks of its own prompt 0, repeats the instruction 0. The last three words of each instruction as keywords: placeholder 0, equal
keywords 1, a list as one keyword 1, a sentence as one keyword 0. Of 3,000 others in the second edition, with three short records as
demonstrations, none.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gra.models.base import Reply
from gra.synthesis import prompts
from gra.synthesis.prompts.schemas import Annotation, Instruction, Keywords
from gra.synthesis.reading import FAULTS, kind_of, read
from gra.synthesis.records import DIMENSIONS, DOMAINS, Record
from gra.synthesis.usable import CHECKS, fault_in, restates

ALPACA = Path(__file__).parents[2].parent / "shared" / "data" / "seeds" / "alpaca" / "alpaca_data.json.gz"
WORTHLESS = [json.loads(line) for line in (Path(__file__).parent / "fixtures" / "worthless_samples.jsonl").read_text().splitlines()]
RECORD = Record("s1", "Explain how tides come about in simple words.", "The moon pulls.", "reasoning", ("tides", "moon", "pull"),
                "Explaining how the moon makes the tides rise and fall twice a day.")  # fmt: skip
SHOWN: dict[str, Any] = {"domain": "reasoning", "records": (RECORD,), "show": "metadata"}


def found(step: str, reply: str, **values: Any) -> str | None:
    """The kind of fault in a reply to `step`, None where it is usable."""
    fault = read(step, Reply(reply), prompt=prompts.render(step, "classic", **values), values=values).fault
    return None if fault is None else kind_of(fault)


def keywords(*given: str) -> str | None:
    return found("keywords", json.dumps({"keywords": given}), **SHOWN)


def instruction(text: str, **more: Any) -> str | None:
    return found("instruction", json.dumps({"instruction": text}), keywords=("sea", "salt", "water"), **{**SHOWN, **more})


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (("...", "...", "..."), "placeholder"), (("…", "sea", "salt"), "placeholder"),
        (("<keyword>", "sea", "salt"), "placeholder"),
        (("keyword1", "keyword2", "keyword3"), "placeholder"), (("string", "string", "string"), "placeholder"),
        (("{{keyword}}", "sea", "salt"), "placeholder"), (("[keyword 1]", "[keyword 2]", "[keyword 3]"), "placeholder"),
        (("1", "2", "3"), "placeholder"), (("first keyword", "second keyword", "third keyword"), "placeholder"),
        (("Sea", "sea", "SEA"), "equal_keywords"), (("sea", "Sea.", "salt"), "equal_keywords"),
        (("sea; salt; water", "tide", "moon"), "list_as_keyword"), (("sea, salt, water", "tide", "moon"), "list_as_keyword"),
        (("sea\nsalt", "tide", "moon"), "list_as_keyword"), (("1. sea 2. salt", "tide", "moon"), "list_as_keyword"),
        (("Coding is a realm where magic is made with words, and more", "tide", "moon"), "sentence_as_keyword"),
        (("three new keywords for a new", "tide", "moon"), "copies_prompt"),
        (("sea", "salt", "water"), None), (("string", "regex", "text"), None), (("Paris, France", "C++", "a/b test"), None),
        (("5, 4, 6", "null", "none"), None), (("k1", "k2", "k3"), None),
    ],
)  # fmt: skip
def test_keywords(given: tuple[str, ...], kind: str | None) -> None:
    assert keywords(*given) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("...", "placeholder"), ("<instruction>", "placeholder"), ("Your instruction here", "placeholder"),
        ("string", "placeholder"),
        ("Give all the data that is needed to answer it, ask for one thing, and do not answer it.", "copies_prompt"),
        ("The summaries show what instructions of this domain look like.", "copies_prompt"),
        ("Explaining how the moon makes the tides rise and fall twice a day.", "copies_record"),
        ("Write a new instruction that uses the new keywords.", "speaks_of_prompt"),
        ("The sea is salty. It holds a lot of water.", "asks_nothing"), ("Understanding the salt water of the sea", "asks_nothing"),
        ("How salty is the sea?", None), ("Describe the sea.", None), ("The sea is salty. Why?", None), ("Sea level", None),
        ("Salt, water: sea!", "asks_nothing"),
        ("Your task is to describe salt water to a child.", None), ("I want you to act as a sailor.", None),
        ("The sea is salty. Rewrite the sentence with another verb.", None),
        ("A litre of sea holds 35 g of salt. Find 3 litres'.", None),
        ("This list holds seas: North, Baltic. Sort it by size.", None), ("The capital of France is ___.", None),
        ("Explain how the moon makes the sea rise, and why it falls twice a day.", None),
    ],
)  # fmt: skip
def test_instructions(text: str, kind: str | None) -> None:
    assert instruction(text) == kind


def test_a_record_that_was_shown_in_full_is_not_given_back() -> None:
    assert instruction(RECORD.instruction, show="full") == "copies_record"
    assert instruction(RECORD.instruction) is None  # not shown: it cannot have been copied


def test_keywords_may_be_used_in_full() -> None:
    words = ("the salt in the water of the sea", "boiling point", "a pan on the stove")
    text = f"Explain {words[0]} with {words[2]}."
    assert found("instruction", json.dumps({"instruction": text}), keywords=words, **SHOWN) is None


LONG = "Correct the grammar: " + " ".join(f"he go to town {i} with friend" for i in range(12))


@pytest.mark.parametrize(
    ("asked", "said", "kind"),
    [
        ("Describe the sea in one sentence.", "Describe the sea in one sentence.", "repeats_instruction"),
        ("Describe the sea in one sentence.", "describe the sea, in one sentence", "repeats_instruction"),
        ("Describe the deep blue sea in one good sentence.",
         "Sure: describe the deep blue sea in one good sentence.", "repeats_instruction"),
        ("Describe the sea.", "...", "placeholder"), ("Describe the sea.", "[Your answer here]", "placeholder"),
        ("Describe the sea.", "<response>", "placeholder"),
        ("Describe the sea.", "The sea is wide and blue.", None), (LONG, LONG[21:].replace("go", "goes"), None),
        ("Repeat after me: the sea is wide", "The sea is wide", None), ("What ends a question?", "?", None),
        ("List", "[1, 2]", None),
        ("Which tag is it?", "<p>", None), ("Say it", "None", None),
    ],
)  # fmt: skip
def test_responses(asked: str, said: str, kind: str | None) -> None:
    assert found("respond", said, instruction=asked) == kind


def test_annotations_and_judgements() -> None:
    values = {"domain": "coding", "keywords": ("a", "b", "c"), "instruction": "Describe the sea.", "response": "Wide."}
    assert found("annotate", '{"keywords": ["...", "...", "..."], "summary": "On the sea."}', **values) == "placeholder"
    assert found("annotate", '{"keywords": ["a", "b", "c"], "summary": "..."}', **values) == "placeholder"
    assert found("annotate", '{"keywords": ["a", "b", "c"], "summary": "Describe the sea."}', **values) is None
    scores = dict.fromkeys(DIMENSIONS, 8)
    pair = {"instruction": "Describe the sea.", "response": "Wide."}
    assert found("review", json.dumps({"strengths": "...", "weaknesses": "...", **scores}), **pair) == "placeholder"
    assert found("review", json.dumps({"strengths": "clear", "weaknesses": "...", **scores}), **pair) is None
    verdicts = '{"reasonableness": true, "completeness": true, "clarity": true, "comment": "%s"}'
    assert found("check", verdicts.replace("%s", "..."), instruction="Describe the sea.") == "placeholder"
    assert found("check", verdicts.replace("%s", ""), instruction="Describe the sea.") is None


def test_samples_of_a_real_committee_that_were_worthless() -> None:
    """Seven of the eight are refused now: by their instruction, their response or both. The eighth is a poor question, no more."""
    refused = []
    for sample in WORTHLESS:
        shown = prompts.render("instruction", "classic", keywords=("a", "b", "c"), **SHOWN)
        by_instruction = fault_in("instruction", Instruction(instruction=sample["instruction"]), shown, SHOWN)
        refused.append(bool(by_instruction) or restates(sample["response"], sample["instruction"]))
    assert [i for i, kind in enumerate(refused) if not kind] == [4]
    blank = [s for s in WORTHLESS if fault_in("annotate", Annotation(keywords=s["keywords"], summary=s["summary"]), (), {})]
    assert [s["keywords"] for s in blank] == [["...", "...", "..."]] * 2


def test_words_beside_a_call_of_a_tool_are_no_answer() -> None:
    asked = {"instruction": "How is the weather?"}
    said = Reply("Let me look that up.", finish="tool_calls")
    fault = read("respond", said, prompt=prompts.render("respond", "classic", **asked), values=asked).fault
    assert fault is not None
    assert kind_of(fault) == "tool_call"
    form = Reply('{"instruction": "Describe the sea."}', finish="tool_calls")  # some gateways ask for a form as a call
    assert read("instruction", form, prompt=(), values=SHOWN).fault is None
    assert kind_of(read("instruction", Reply("", finish="tool_calls")).fault or "") == "tool_call"


def test_every_fault_has_a_name() -> None:
    assert set(CHECKS.values()) <= set(FAULTS.values())
    assert kind_of("refused: HTTP 402: pay") == "refused"
    assert kind_of("keywords: List should have at least 3 items") == "form"


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
        fault = fault_in("instruction", Instruction(instruction=text), prompts.render("instruction", "classic", **values), values)
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
        fault = fault_in("instruction", Instruction(instruction=text), prompts.render("instruction", "turns", **values), values)
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
    return Record("r", given["instruction"], given["output"], rng.choice(DOMAINS), (words[0], words[1], words[2]), summary)
