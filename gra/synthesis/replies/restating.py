"""PURE: decides whether a response only repeats its instruction and does not answer it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.synthesis.replies.echoes import words
from gra.synthesis.replies.overlap import NGRAM, covered
from gra.synthesis.replies.requests import is_imperative

# A response restates the instruction ...
RESTATED = 0.8  # ... if each covers at least this share of the other
PART = 0.5  # ... if it is a run of at least this share of the instruction's words, and the task comes without a text
LONGER = 1.5  # ... if it is one sentence that begins like the task and has at most this multiple of the task's words
_GIVEN = re.compile(r"[\n:\"“”'‘’`<>{}()\[\]]")  # characters that show that a task comes with a text
_ANSWERS = re.compile(r"[\n:=]|[.!?]\s+\S")  # a list, a label, a calculation or a second sentence


def restates(response: str, instruction: str) -> bool:
    """Return whether `response` repeats the instruction, or a large part of it, in place of an answer. An example is "A
    market with bread." as the response to "Name a market with bread."

    Three kinds of responses count as repeating: a response that begins like the instruction, a response that is a part
    of the instruction, and a response that repeats most of the instruction, including its first and last words.

    If the instruction contains a text to work on ("Correct: ..."), a good answer can be a part of this text or repeat
    most of it. So a response that is a part of such an instruction does not count. An answer that repeats most of the
    text usually lacks the first or the last words of the instruction, e.g. "Correct:". So a response of the third kind
    counts only if it has both.
    """
    task, answer = words(instruction), words(response)
    if not task or not answer or task == answer:
        return bool(task) and task == answer
    if len(task) <= NGRAM:
        return False
    if _opens_alike(response, answer, task):
        return True
    if (answer[: len(task)] == task and _continues(response, instruction)) or (
        _part(answer, task) and not _GIVEN.search(instruction)
    ):
        return True
    whole = f" {' '.join(answer)} "  # n-grams as text: words contain no blanks
    if any(f" {' '.join(end)} " not in whole for end in (task[:NGRAM], task[-NGRAM:])):
        return False
    return covered(response, instruction) >= RESTATED and covered(instruction, response) >= RESTATED


def _continues(response: str, instruction: str) -> bool:
    """Return whether the response is the instruction, continued: "Design a game that two teams play." for "Design a game.", or
    "Comfort a friend. It is important to be there." for "Comfort a friend." """
    task, said = (" ".join(text.split()).casefold() for text in (instruction, response))
    stem = task.rstrip(".!?: ")
    if said.startswith(f"{stem} ") and said[len(stem) + 1 : len(stem) + 2].isalpha():
        return True
    # a request that is said again before more text, on the same line: below a heading the answer follows
    first = " ".join(response.strip().split("\n", 1)[0].split()).casefold()
    return not task.endswith("?") and first.startswith(f"{stem}. ")


def _part(answer: Sequence[str], task: Sequence[str]) -> bool:
    """Return whether `answer` consists of consecutive words of `task`: at least NGRAM words, and at least the fraction
    PART of the task's words."""
    long = len(answer) >= NGRAM and len(answer) >= PART * len(task)
    return long and f" {' '.join(answer)} " in f" {' '.join(task)} "


def _opens_alike(response: str, answer: Sequence[str], task: Sequence[str]) -> bool:
    """Return whether the response is one sentence that makes the same request in other words: "Write a script that reads the file
    and prints it." for "Write a script that reads files, stores their names and prints them." The verb may differ
    ("Create" for "Write")."""
    if answer[1:NGRAM] != task[1:NGRAM] or len(answer) > LONGER * len(task):
        return False
    return is_imperative(task[0]) and is_imperative(answer[0]) and not _ANSWERS.search(response.strip())
