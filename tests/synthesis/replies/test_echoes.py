"""Nothing that a model was shown is a reply of use: every turn, line and sentence of every prompt, handed back, is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prompt_inputs import values_of

from gra.models.base import Reply
from gra.synthesis import prompts
from gra.synthesis.committee.records import DOMAINS, Record
from gra.synthesis.replies.reading import kind_of, read

WRITERS = ("annotate_seed", "keywords", "instruction", "respond", "annotate")
LABELS = ("", "Task: ", "**Task:** ", "Keywords: ", "Summary: ", "Here is the task: ", "1. ", "User: ")
LONG = "Sort these words by their length, the shortest one first.\n\nWords: sea, salt, water, a lighthouse\nAnswer in one line."
POOL = tuple(
    Record(f"s{i}", text, "Done.", domain, keywords, summary)
    for i, (domain, text, keywords, summary) in enumerate(
        [
            (
                "coding",
                "Write a function that adds two numbers.",
                ("Python", "addition", "functions"),
                "A function adds two numbers.",
            ),
            (
                "mathematics",
                "What is a third of 81?",
                ("fractions", "division", "thirds"),
                "A third of a number is worked out.",
            ),
            (
                "role-play",
                "You are a sailor. Greet the harbour master.",
                ("sailor", "harbour", "greeting"),
                "A sailor greets someone.",
            ),
        ]
    )
)


def conversations(step: str, edition: str) -> Iterator[tuple[dict[str, Any], tuple[dict[str, str], ...]]]:
    for domain in DOMAINS:
        for instruction in ("Describe the sea.", LONG):
            values = {**values_of(instruction)[step], "domain": domain}
            if "records" in values:
                values |= {"records": POOL[:2], "demonstrations": POOL}
            yield values, prompts.render(step, edition, **values)


def pieces(step: str, values: dict[str, Any], messages: tuple[dict[str, str], ...]) -> set[str]:
    """All that can be handed back; but for lines of the very text that a response answers and a summary sums up."""
    about = ("instruction", "response") if step in ("respond", "annotate", "annotate_seed") else ()
    material = [values[key] for key in about if key in values]
    shown = set().union(*(cuts(message["content"]) for message in messages))
    return {text for text in shown.difference(*map(cuts, material)) if re.search(r"\w", text)}


def cuts(text: str) -> set[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return {text, *lines, *(part for line in lines for part in re.split(r"(?<=[.!?:])\s+", line))}


def replies(step: str, edition: str, text: str) -> Iterator[str]:
    """The text as a reply to the step, in its form."""
    if prompts.style(step, edition) == "text" or step == "respond":
        for label in LABELS if step != "respond" else ("", "Response: "):
            yield f"{label}{text}"
        yield f'"{text}"'
        return
    three = [part.strip() for part in re.split(r"[,;]", text)][:3]
    lists = [[text[:80]] * 3, *([three] if len(three) == 3 and all(0 < len(part) <= 80 for part in three) else [])]
    match step:
        case "instruction":
            yield json.dumps({"instruction": text[:8000]})
        case "keywords":
            yield from (json.dumps({"keywords": words}) for words in lists)
        case _:
            good = {"domain": "coding", "keywords": ["wind", "sails", "storms"], "summary": text[:400]}
            yield json.dumps(good)
            yield json.dumps({**good, "summary": "Wind fills the sails.", "keywords": lists[0]})


@pytest.mark.parametrize("edition", prompts.EDITIONS)
@pytest.mark.parametrize("step", WRITERS)
def test_nothing_of_a_prompt_is_a_reply(step: str, edition: str) -> None:
    passed = []
    style = prompts.style(step, edition)
    for values, messages in conversations(step, edition):
        shown = {
            key: value
            for key, value in values.items()
            if key != "demonstrations" or prompts.has_examples(step, edition)
        }
        for text in sorted(pieces(step, values, messages)):
            if reused(step, edition, text, values):
                continue
            for reply in replies(step, edition, text):
                found = read(step, Reply(reply), prompt=messages, values=shown, style=style)
                if found.fault is None:
                    passed.append((reply, found.value))
    assert not passed, passed[:20]


def reused(step: str, edition: str, text: str, values: dict[str, Any]) -> bool:
    """A word or two of a line may be somebody's answer; keywords of a record in a message of `classic` may be used again."""
    bare = re.sub(r"<[^<>]+>", "", text)
    if step == "respond":
        return len(re.findall(r"\w+", text)) < 4
    return step == "keywords" and edition == "classic" and bare in {"; ".join(r.keywords) for r in values["records"]}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    "text",
    [
        "Write a {} task. Keywords: salt, sea, waves",
        "Write a {} task.",
        "Write a {} task with the keywords salt and sea.",
        "write a {} task, keywords: Sea, salt, waves",
        "Task: Write a {} task. Keywords: wind, sails",
        "Task: Write a {} task. Keywords: salt, sea, waves\n\nTask: Write a {} task.",
    ],
)
def test_the_line_that_asks_for_a_task_is_none(domain: str, text: str) -> None:
    values = {**values_of()["instruction"], "domain": domain, "demonstrations": POOL}
    messages = prompts.render("instruction", "turns", **values)
    fault = read("instruction", Reply(text.format(domain, domain)), prompt=messages, values=values, style="text").fault
    assert fault is not None
    assert kind_of(fault) == "copies_prompt"


@pytest.mark.parametrize(
    "text",
    [
        "Write a poem about salt, the sea and its waves.",
        "Explain why the waves of the sea taste of salt.",
        "Write a task list for a day at the sea.",
        "What is a third of 99?",
        "You are a sailor on a ferry. Greet the captain.",
        "Write a function that multiplies two numbers.",
        "Write a mathematics textbook's first page on waves.",
    ],
)
def test_tasks_like_those_shown_are_tasks(text: str) -> None:
    for domain in DOMAINS:
        values = {**values_of()["instruction"], "domain": domain, "demonstrations": POOL}
        messages = prompts.render("instruction", "turns", **values)
        assert read("instruction", Reply(text), prompt=messages, values=values, style="text").fault is None


def test_a_response_may_be_a_line_of_what_it_answers() -> None:
    values = {
        "instruction": "Which of these sentences is right?\nHe go to the sea every day.\nHe goes to the sea every day."
    }
    for edition in prompts.EDITIONS:
        messages = prompts.render("respond", edition, **values)
        said = read("respond", Reply("He goes to the sea every day."), prompt=messages, values=values)
        assert said.fault is None
        whole = read("respond", Reply(values["instruction"]), prompt=messages, values=values)
        assert kind_of(whole.fault or "") == "repeats_instruction"


def test_taken_keywords_and_those_of_a_demonstration_are_not_new() -> None:
    values = {**values_of()["keywords"], "demonstrations": POOL}
    messages = prompts.render("keywords", "turns", **values)
    assert "salt, wind, sails" in messages[0]["content"]
    for line in (
        "Python, addition, functions",
        "functions, Addition, python",
        "salt, wind, sails",
        "Sails, wind, salt.",
    ):
        fault = read("keywords", Reply(line), prompt=messages, values=values, style="text").fault
        assert kind_of(fault or "") == "copies_demonstration"
    assert read("keywords", Reply("salt, wind, storms"), prompt=messages, values=values, style="text").fault is None
