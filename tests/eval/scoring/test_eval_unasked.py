"""Replies that lack the form asked for: nothing strictly, all tolerantly; and hostile ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_eval_tolerant import CHOICE, OPTIONS, Strict

from gra.errors import EvalError
from gra.eval.sandbox import SandboxError, isolation
from gra.eval.scoring import answers, code, mathematics, multiple_choice
from gra.eval.scoring.world import answers_of as world_answers
from gra.eval.suite import catalogue


def official(task: str) -> Strict:
    """The extraction of lm-eval's own task: the pattern of its first filter."""

    def extract(replies: list[str], docs: list[dict[str, Any]]) -> list[str | None]:  # noqa: ARG001
        path = catalogue.find(task)
        assert path is not None
        pattern = catalogue.read(path)["filter_list"][0]["filter"][0]["regex_pattern"]
        return [next(iter(re.findall(pattern, reply)), None) for reply in replies]

    return extract


def batch(ours: Callable[..., list[list[str | None]]]) -> Strict:
    """The extraction of a task of ours, which its YAML names."""
    return lambda replies, docs: [found for [found] in ours([[reply] for reply in replies], docs)]


def sandbox_possible() -> bool:
    try:
        isolation()
    except SandboxError:
        return False
    return True


MC = {"choices": OPTIONS, "answer": "B"}
SUM = {"prompt": "def add(a, b):\n", "entry_point": "add", "test": "def check(f):\n    assert f(2, 3) == 5"}
UNASKED: list[Any] = [
    (
        "number",
        {},
        "3 and 4.\n#### 1,207",
        official("gsm8k"),
        [
            "The answer is 1207.",
            "It is **$1,207.00**.",
            "\\boxed{1207}",
            "in all 1,207 apples",
        ],
    ),
    (
        "bbh",
        {"input": CHOICE},
        "(B)",
        official("bbh_cot_fewshot_snarks"),
        [
            "Answer: (B)",
            "**(B)**",
            "It is blue.",
            "\\boxed{B}",
        ],
    ),
    (
        "letter",
        MC,
        "B",
        batch(multiple_choice.answers_of),
        [
            "The answer is B.",
            "\\boxed{B}",
            "I choose Paris.",
            "It must be option B",
        ],
    ),
    (
        "math",
        {"answer": "\\frac{1}{2}"},
        "",
        batch(mathematics.answers_of),
        [
            "The answer is $0.5$.",
            "**1/2**",
            "So $x = \\frac{2}{4}$",
            "Answer: \\(\\frac12\\)",
        ],
    ),
    (
        "world",
        {},
        "red fox",
        batch(world_answers),
        [
            "It is a red fox.",
            "**Red fox**",
            "Answer: red fox",
            "red fox",
        ],
    ),
    pytest.param(
        "code",
        SUM,
        "",
        batch(code.codes_of),
        [
            "    return a + b",
            "return a + b",
            "```java\ndef add(a, b):\n    return a + b\n```",
            "  def add(a, b):\n   return a + b",
            "Here:\ndef add(a, b):\n    return a + b\nIt adds.",
        ],
        marks=pytest.mark.skipif(not sandbox_possible(), reason="no sandbox is possible here"),
    ),
]


@pytest.mark.parametrize(("kind", "doc", "gold", "strict", "replies"), UNASKED)
def test_without_the_form_nothing_is_extracted_strictly_and_all_is_right_tolerantly(
    kind: str, doc: dict[str, Any], gold: str, strict: Strict, replies: list[str]
) -> None:
    assert strict(replies, [doc] * len(replies)) == [None] * len(replies)
    read = answers.tolerant_all(kind, [(doc, reply, gold) for reply in replies])
    assert [score for _, score in read] == [1.0] * len(replies), read
    silent = answers.tolerant_all(
        kind, [(doc, reply, gold) for reply in ("", "I cannot answer that.", "I don't know.")]
    )
    assert silent == [(None, 0.0)] * 3


def test_the_kind_of_a_task_is_in_its_yaml_or_known_by_name() -> None:
    for name, path in catalogue.own().items():
        spec = catalogue.read(path)
        if spec.get("output_type") == "generate_until":
            assert answers.kind_of(name, spec) in answers.KINDS, name
    generated = {"output_type": "generate_until"}
    known = {"gsm8k": "number", "bbh_cot_fewshot_snarks": "bbh", "arc_challenge_chat": "letter", "ifeval": "ifeval"}
    assert {task: answers.kind_of(task, generated) for task in known} == known
    assert answers.kind_of("mmlu_law_generative", generated) == "letter"
    assert answers.kind_of("triviaqa", generated) is None
    assert answers.kind_of("gpqa_main_zeroshot", {"output_type": "multiple_choice"}) is None
    with pytest.raises(EvalError, match=r"x: metadata\.answer is 'poem'"):
        answers.kind_of("x", {"metadata": {"answer": "poem"}})


PURE = ("number", "letter", "bbh", "world")
GOLDS = {
    "number": ("7",),
    "letter": ("B",),
    "bbh": ("(B)", "] }", "12", "no", "True", "valid", "a b", "x, y"),
    "world": ("ab", "7"),
}


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from([*"ABab19{}[]()<>*_$\\:.,\n -=\"'`", "answer", " is ", "boxed"])).map("".join)
)
def test_no_reply_breaks_a_cascade(reply: str) -> None:
    for kind in PURE:
        for gold in GOLDS[kind]:
            found, correct = answers.tolerant(kind, MC | {"input": "Sort [ {"}, reply, gold)
            assert correct in (0.0, 1.0)
            assert found is not None or correct == 0.0


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "\n",
        "1",
        "1,",
        "{",
        "\\boxed{",
        "answer is ",
        "answer:\n",
        "answer" + " " * 50,
        "Answer: so ",
        "#### ",
        "#### 2. a\n",
        "#### 2 a\n",
        "**",
        "$",
        "(A) ",
        "A. ",
        "[ ",
        "yes ",
        "not valid ",
        "I choose ",
        "\\frac{",
        "```\n",
        "<think>",
        "I cannot ",
        "sorted: ",
        "- ",
        "'\"",
        "a red fox ",
    ],
)
def test_hostile_replies_take_no_time(piece: str) -> None:
    reply = piece * (400_000 // len(piece))
    before = time.process_time()
    for kind in PURE:
        for gold in GOLDS[kind]:
            answers.tolerant(kind, MC | {"input": "Sort [ {"}, reply, gold)
    multiple_choice.answer_of(reply, 4)
    mathematics.stated(reply)
    assert time.process_time() - before < 4
