"""Plain replies: labels, quotes, numbers, answers and invented turns around the one line that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.base import Reply
from gra.synthesis.replies.plain_text import keywords_in, summary_in, task_in
from gra.synthesis.replies.reading import read

TASK = "Explain why the sea is salty."


@pytest.mark.parametrize(
    ("reply", "task"),
    [
        (TASK, TASK),
        (f"  {TASK}\n", TASK),
        (f"Task: {TASK}", TASK),
        (f"**Task:** {TASK}", TASK),
        (f"task 1: {TASK}", TASK),
        (f'"{TASK}"', TASK),
        (f'Task: "{TASK}"', TASK),
        (f'"Task: {TASK}"', TASK),
        (f"“{TASK}”", TASK),
        (f"**{TASK}**", TASK),
        (f"`{TASK}`", TASK),
        (f"Instruction:\n{TASK}", TASK),
        (f"Here is a new task: {TASK}", TASK),
        (f"Sure! Here's a task for you:\n\n{TASK}", TASK),
        (f"Certainly! {TASK}", TASK),
        (f"Sure, I can help with that! Here is one:\n{TASK}", TASK),
        (f"Okay. {TASK}", TASK),
        (f"# Task: {TASK}", TASK),
        (f"1. {TASK}\n2. Describe the moon.", TASK),
        (f"1) {TASK}\n2) Describe the moon.\n3) Go.", TASK),
        (f"{TASK}\n\nAnswer: Rivers carry salt.", TASK),
        (f"{TASK}\n\n**Solution:**\nRivers.", TASK),
        (f"{TASK}\n\nWrite a language task. Keywords: moon, night", TASK),
        (f"{TASK}\nUser: Write a task", TASK),
        (f"{TASK}\nKeywords: moon, night, stars\nTask: Describe the moon.", TASK),
        (f"{TASK}\nAssistant: Rivers carry salt.", TASK),
        (f"{TASK}\n\nTask 2: Describe the moon.", TASK),
        (f'{{"instruction": "{TASK}"}}', TASK),
        (f'```json\n{{"instruction": "{TASK}"}}\n```', TASK),
        # What belongs to the task stays.
        ("Sort these:\n1. sea\n2. moon", "Sort these:\n1. sea\n2. moon"),
        ('Put "sea" and "moon" into one sentence.', 'Put "sea" and "moon" into one sentence.'),
        ('"Sea" and "moon"', '"Sea" and "moon"'),
        ("Is this right? Answer: yes or no", "Is this right? Answer: yes or no"),
        (
            "Complete the dialogue.\nAnna: Where is the sea?\nBen:",
            "Complete the dialogue.\nAnna: Where is the sea?\nBen:",
        ),
        ("Here are three words: sea, salt, wind. Use them in a sentence.",) * 2,
        ("Okay or not? Say why.",) * 2,
        ("Write code.\n\n```python\nx = {1: 2}\n```", "Write code.\n\n```python\nx = {1: 2}\n```"),
        ("Answer the question: how deep is it?", "Answer the question: how deep is it?"),
    ],
)
def test_the_task_alone_is_taken(reply: str, task: str) -> None:
    values = {"keywords": ("a", "b", "c"), "domain": "language"}
    found = read("instruction", Reply(reply), values=values, style="text")
    assert found.fault is None
    assert found.value.instruction == task  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reply", "keywords"),
    [
        ("sea, salt, wind", ["sea", "salt", "wind"]),
        ("Keywords: sea, salt, wind", ["sea", "salt", "wind"]),
        ('"sea, salt, wind"', ["sea", "salt", "wind"]),
        ('"sea", "salt", "wind"', ["sea", "salt", "wind"]),
        ("sea; salt; wind.", ["sea", "salt", "wind"]),
        ("1. sea\n2. salt\n3. wind", ["sea", "salt", "wind"]),
        ("- sea\n- salt\n- wind\n- moon", ["sea", "salt", "wind"]),
        ("sea, salt, and wind", ["sea", "salt", "wind"]),
        ("sea, salt, wind, moon, night", ["sea", "salt", "wind"]),
        ("sea\nsalt\nwind", ["sea", "salt", "wind"]),
        ("Here are three keywords: sea, salt, wind", ["sea", "salt", "wind"]),
        ("sea, salt, wind\n\nThree keywords for a coding task about moon and night", ["sea", "salt", "wind"]),
        ('{"keywords": ["sea", "salt", "wind"]}', ["sea", "salt", "wind"]),
        ("C++, a/b test, 3D", ["C++", "a/b test", "3D"]),
    ],
)
def test_three_keywords_are_taken(reply: str, keywords: list[str]) -> None:
    found = read("keywords", Reply(reply), values={"domain": "language"}, style="text")
    assert found.fault is None
    assert found.value.keywords == keywords  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reply", "keywords"),
    [
        ("sea, sea, salt", ["sea", "salt", "rain"]),
        ("Sea, sea, SEA", ["Sea", "rain", "street"]),
        ("rain, sea, rain", ["rain", "sea", "street"]),
        ("rain, rain, street", None),
        ("rain, Rain, rain", None),
        ("sea", None),
        ("sea, salt", None),
        ("sea, sea, salt, wind", ["sea", "salt", "wind"]),
    ],
)
def test_a_list_that_repeats_itself_is_completed_with_what_it_was_asked_about(
    reply: str, keywords: list[str] | None
) -> None:
    found = read("keywords", Reply(reply), values={"domain": "language", "topics": ("rain", "street")}, style="text")
    assert (found.value and found.value.keywords) == keywords  # type: ignore[union-attr]


@pytest.mark.parametrize("reply", ["sea", "sea, salt", "The sea is salty.", "...", ", , ,", "sea, sea, sea"])
def test_fewer_than_three_are_none(reply: str) -> None:
    assert read("keywords", Reply(reply), values={"domain": "language"}, style="text").fault is not None


def test_a_summary_is_the_first_line_and_the_keywords_stay() -> None:
    values = {"keywords": ("sea", "salt", "wind"), "instruction": TASK, "response": "Rivers.", "domain": "language"}
    for reply in (
        "Why the sea holds salt.",
        "Summary: Why the sea holds salt.\nAnd more.",
        '"Why the sea holds salt."',
    ):
        found = read("annotate", Reply(reply), values=values, style="text")
        assert (found.value.summary, found.value.keywords) == (  # type: ignore[union-attr]
            "Why the sea holds salt.",
            ["sea", "salt", "wind"],
        )


def test_what_was_cut_off_is_noted() -> None:
    assert task_in(f"Task: {TASK}")[1] == ("a label cut off",)
    assert task_in(f"{TASK}\n\nAnswer: x")[1] == ("an answer cut off",)
    assert task_in(f"1. {TASK}\n2. More.")[1] == ("more tasks cut off",)
    assert keywords_in("a, b, c, d")[1] == ("more than three keywords",)
    assert summary_in("a\nb")[1] == ("more lines cut off",)
    assert task_in(TASK)[1] == ()
    assert read("instruction", Reply(TASK, finish="length"), style="text").fault == "cut off"


@given(st.text(max_size=400))
def test_any_reply_is_read_or_refused_and_nothing_is_invented(text: str) -> None:
    for step in ("keywords", "instruction", "annotate"):
        values = {"keywords": ("a", "b", "c"), "domain": "language", "instruction": TASK, "response": "x"}
        found = read(step, Reply(text), values=values, style="text")
        assert (found.value is None) == (found.fault is not None)
        if step == "instruction" and found.value is not None:
            assert found.value.instruction in text or "{" in text  # type: ignore[union-attr]
        if step == "keywords" and found.value is not None:
            assert all(word in text or "{" in text for word in found.value.keywords)  # type: ignore[union-attr]
