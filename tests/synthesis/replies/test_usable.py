"""Well-formed but unusable replies: what the checks refuse. That ordinary texts pass: test_usable_ordinary.py."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gra.models.base import Reply
from gra.synthesis import prompts
from gra.synthesis.committee.records import DIMENSIONS, Record
from gra.synthesis.prompts.schemas import Annotation, Instruction, Keywords
from gra.synthesis.replies import echoes, usable
from gra.synthesis.replies.reading import FAULTS, kind_of, read
from gra.synthesis.replies.restating import restates
from gra.synthesis.replies.usable import CHECKS, fault_in

WORTHLESS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "worthless_samples.jsonl").read_text().splitlines()
]
RECORD = Record(
    "s1",
    "Explain how tides come about in simple words.",
    "The moon pulls.",
    "reasoning",
    ("tides", "moon", "pull"),
    "Explaining how the moon makes the tides rise and fall twice a day.",
)
RULE = "Answer the user's instruction correctly and completely."  # of the system message
SHOWN: dict[str, Any] = {"domain": "reasoning", "records": (RECORD,), "show": "metadata"}


def found(step: str, reply: str, **values: Any) -> str | None:
    """The kind of fault in a reply to `step`, None where it is usable."""
    fault = read(step, Reply(reply), prompt=prompts.render(step, "classic", **values), values=values).fault
    return None if fault is None else kind_of(fault)


def keywords(*given: str) -> str | None:
    return found("keywords", json.dumps({"keywords": given}), **SHOWN)


def instruction(text: str, **more: Any) -> str | None:
    return found(
        "instruction", json.dumps({"instruction": text}), keywords=("sea", "salt", "water"), **{**SHOWN, **more}
    )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (("...", "...", "..."), "placeholder"),
        (("…", "sea", "salt"), "placeholder"),
        (("<keyword>", "sea", "salt"), "placeholder"),
        (("keyword1", "keyword2", "keyword3"), "placeholder"),
        (("string", "string", "string"), "placeholder"),
        (("{{keyword}}", "sea", "salt"), "placeholder"),
        (("[keyword 1]", "[keyword 2]", "[keyword 3]"), "placeholder"),
        (("1", "2", "3"), "placeholder"),
        (("first keyword", "second keyword", "third keyword"), "placeholder"),
        (("Sea", "sea", "SEA"), "equal_keywords"),
        (("sea", "Sea.", "salt"), "equal_keywords"),
        (("sea; salt; water", "tide", "moon"), "list_as_keyword"),
        (("sea, salt, water", "tide", "moon"), "list_as_keyword"),
        (("sea\nsalt", "tide", "moon"), "list_as_keyword"),
        (("1. sea 2. salt", "tide", "moon"), "list_as_keyword"),
        (("Coding is a realm where magic is made with words, and more", "tide", "moon"), "sentence_as_keyword"),
        (("three new keywords for a new", "tide", "moon"), "copies_prompt"),
        (("sea", "salt", "water"), None),
        (("string", "regex", "text"), None),
        (("Paris, France", "C++", "a/b test"), None),
        (("5, 4, 6", "null", "none"), None),
        (("k1", "k2", "k3"), None),
    ],
)
def test_keywords(given: tuple[str, ...], kind: str | None) -> None:
    assert keywords(*given) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("...", "placeholder"),
        ("<instruction>", "placeholder"),
        ("Your instruction here", "placeholder"),
        ("string", "placeholder"),
        ("Give all the data that is needed to answer it, ask for one thing, and do not answer it.", "copies_prompt"),
        ("The summaries show what instructions of this domain look like.", "copies_prompt"),
        ("Explaining how the moon makes the tides rise and fall twice a day.", "copies_record"),
        ("Write a new instruction that uses the new keywords.", "speaks_of_prompt"),
        ("Write a mathematical task. Keywords: ways to divide, primes, ratios", "speaks_of_prompt"),
        ("Create one short reasoning question.\nKeyword: tides", "speaks_of_prompt"),
        ("Write a blog post about bees. Keywords: honey, pollen", None),
        ("The sea is salty. It holds a lot of water.", "asks_nothing"),
        ("Understanding the salt water of the sea", "asks_nothing"),
        ("How salty is the sea?", None),
        ("Describe the sea.", None),
        ("The sea is salty. Why?", None),
        ("Sea level", None),
        ("Salt, water: sea!", "asks_nothing"),
        ("Your task is to describe salt water to a child.", None),
        ("I want you to act as a sailor.", None),
        ("The sea is salty. Rewrite the sentence with another verb.", None),
        ("A litre of sea holds 35 g of salt. Find 3 litres'.", None),
        ("This list holds seas: North, Baltic. Sort it by size.", None),
        ("The capital of France is ___.", None),
        ("Python has a built-in function that returns a list.", "asks_nothing"),
        ("Tall Ann is older than Ben. Ben is older than Cleo.", "asks_nothing"),
        ("Paris is a city. Which river runs through it?", None),
        ("Solve the following equations.", "lacks_material"),
        ("Which of these numbers is the smallest? Which of these numbers is the largest?", "lacks_material"),
        ("Complete this sentence for a travel blog post.", "lacks_material"),
        ("Which of the following is a medical job?", "lacks_material"),
        ("Which of the following is a medical job: nurse, baker, pilot?", None),
        ("Solve the following equation: 3x = 12", None),
        ("Which of these numbers is the smallest? 4, 9, 2", None),
        ("Correct this sentence.\nHe go home.", None),
        ("He go home. Correct this sentence.", None),
        ('What does the saying "time is money" mean in this text?', None),
        ("Which of these two words is longer, ear or mouth?", None),
        ("Write a script that takes two integers and prints the sum of these numbers.", None),
        ("Write a story in which the words rhyme.", None),
        ("Explain how the moon makes the sea rise, and why it falls twice a day.", None),
    ],
)
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
        (
            "Describe the deep blue sea in one good sentence.",
            "Sure: describe the deep blue sea in one good sentence.",
            "repeats_instruction",
        ),
        (
            "Come up with a market with bread, milk and fruit.",
            "A market with bread, milk and fruit.",
            "repeats_instruction",
        ),
        ("Draw an astronaut spinning a beach ball.", "<an astronaut spinning a beach ball>", "repeats_instruction"),
        ("Correct the sentence: he go to the old market", "He go to the old market", None),  # a text is given
        (
            "Design a game with four parts.",
            "Design a game with four parts that two teams can play.",
            "repeats_instruction",
        ),
        ("Design a game with four parts.", "Design a game with four parts: a board, two dice, a bell.", None),
        ("What is two plus two?", "What is two plus two? It is four.", None),
        ("Which is nearer, the sun or the moon?", "The moon", None),
        ("Walk along your bus route.", f"Walk along your bus route.\n\nYou are kind. {RULE}", "copies_prompt"),
        (
            f"Explain this rule: {RULE}",
            f"{RULE} It says: be right, and leave out nothing that a user asked you for, small or large.",
            None,
        ),  # asked for
        ("Describe the sea.", "...", "placeholder"),
        ("Describe the sea.", "[Your answer here]", "placeholder"),
        ("Describe the sea.", "<response>", "placeholder"),
        ("Describe the sea.", "The sea is wide and blue.", None),
        (LONG, LONG[21:].replace("go", "goes"), None),
        ("Repeat after me: the sea is wide", "The sea is wide", None),
        ("What ends a question?", "?", None),
        ("List", "[1, 2]", None),
        ("Which tag is it?", "<p>", None),
        ("Say it", "None", None),
        ("Describe the sea.", "I'm sorry, but I can't assist with that.", "refuses_task"),
        ("Describe the sea.", "I\u2019m unable to help you with this request.", "refuses_task"),
        ("Describe the sea.", "As an AI language model, I cannot generate such content.", "refuses_task"),
        (
            "Describe the sea.",
            "Sorry, I cannot fulfill this request as it is harmful. Ask me about rivers.",
            "refuses_task",
        ),
        ("Describe the sea.", "Hello! I'm afraid I won't be able to help with that.", "refuses_task"),
        ("Describe the sea.", "I must decline this request.", "refuses_task"),
        ("Describe the sea.", "I'm unable to provide assistance with that.", "refuses_task"),
        ("Decline politely.", "Thank you, but I must decline your kind invitation.", None),
        ("Open the file.", "I cannot open files, since I only read the text you send; paste its lines here.", None),
        ("Decline politely.", "I'm sorry, I can't come to your party: I will be at sea that week.", None),
        ("Say you are unable to meet.", "I am not able to meet on Monday. Would Tuesday suit you?", None),
        ("Who said it?", "I can't help falling in love with you", None),
        (
            "Create a description for a cake that uses a buttered cookie dough.",
            "I'm sorry, but I need more information about the cake. Could you please provide more details, such as its type?",
            "refuses_task",
        ),
        ("Describe the sea.", "Could you please provide more context about the sea?", "refuses_task"),
        ("Describe the sea.", "To describe it, I'll need some additional details. Please share them.", "refuses_task"),
        (
            "Answer a customer whose order is late.",
            "I need more information. Could you give me your order number?",
            None,
        ),
        ("Write a request for further information.", "Could you please provide more information on the course?", None),
        ("Is it true?", "I need more time than that to say, since the sources differ.", None),
    ],
)
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
    blank = [
        s for s in WORTHLESS if fault_in("annotate", Annotation(keywords=s["keywords"], summary=s["summary"]), (), {})
    ]
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


TERMS = [
    "sums",
    "Digits",
    "prime",
    "a",
    "of",
    "the",
    "Write",
    "task.",
    "it's",
    "tide",
    "İx",
    "ſea",
    "ŉ",
    "ß",
    "Keywords:",
    "\n",
]


@pytest.mark.parametrize("edition", prompts.EDITIONS)
@pytest.mark.parametrize("step", ["keywords", "instruction", "respond", "annotate"])
def test_quick_answers_change_no_verdict(step: str, edition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a text may be a copy at all is asked first, and quickly: with that question left out, all faults are the same."""
    rng = random.Random(f"{step} {edition}")

    def some() -> str:
        return " ".join(rng.choices(TERMS, k=rng.randint(1, 12))).strip() or "x"

    def three() -> tuple[str, str, str]:
        return some()[:80], some()[:80], some()[:80]

    cases = []
    for _ in range(150):
        records = tuple(Record("s", some(), some(), "reasoning", three(), some()) for _ in range(2))
        values: dict[str, Any] = {
            **SHOWN,
            "records": records,
            "demonstrations": records,
            "topics": three()[:2],
            "taken": (),
        }
        values |= {"keywords": three()} if step in ("instruction", "annotate") else {}
        values |= {"instruction": some()} if step in ("respond", "annotate") else {}
        values |= {"response": some()} if step == "annotate" else {}
        messages = prompts.render(step, edition, **values)
        lines = [
            part
            for message in messages
            for part in (message["content"], *message["content"].splitlines())
            if part.strip()
        ]
        lines += [text for record in records for text in (record.instruction, record.summary)]
        words = [rng.choice([some(), some(), rng.choice(lines)])[:80] for _ in range(3)]
        text = rng.choice([some(), rng.choice(lines), f"{rng.choice(lines)} {rng.choice(TERMS)}"])
        forms = {
            "keywords": Keywords.model_construct(keywords=words),
            "instruction": Instruction.model_construct(instruction=text),
            "annotate": Annotation.model_construct(keywords=words, summary=text),
        }
        cases.append((forms.get(step, text), messages, values))
    quick = [fault_in(step, *case) for case in cases]
    assert any(fault is None for fault in quick)
    assert any(fault is not None and "copies" in fault for fault in quick)
    monkeypatch.setattr(usable._Shown, "unlike", lambda *_: False)
    monkeypatch.setattr(echoes, "may_hold", lambda *_: True)
    assert [fault_in(step, *case) for case in cases] == quick


def test_a_rewritten_response_does_not_go_on_as_its_prompt_does() -> None:
    asked = {"instruction": "Name a tide.", "response": "Spring tide."}
    tail = "Spring tide, at new moon.\n</response>\n\nReply with the new response alone."
    assert found("rewrite", tail, **asked) == "copies_prompt"
    assert found("rewrite", "Spring tide, at new moon.", **asked) is None
    html = {"instruction": "Close the tag: <response>", "response": "</response>"}
    assert found("rewrite", "It is closed by </response>, as any tag.", **html) is None
    assert found("rewrite", "In HTML a list ends with </ul>.", **asked) is None
