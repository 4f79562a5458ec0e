"""Defines skills and instances: wordings that can be parsed, an instance generator, the true solver and wrong rules.

An instance is a tuple of strings (the values of the skill's fields) and the number of its wording ("form"). A form both
writes and parses an instruction, so the right answer to any sample follows from its text.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from gra.simulation.world.vocabulary import DRESS

Values = tuple[str, ...]

HELD_OUT_PERCENT = 20  # percentage of the instances reserved for benchmarks
SEED_FORMS = 2  # seeds use the first two wordings of each skill; generators can use more, benchmarks use all

# The end of every answer; the last match counts. The group is the bare answer, as in the benchmarks' `answer`.
ANSWER = re.compile(r"\banswer is:?\s+(.+?)(?=[.!?](?:\s|$)|\s*$)", re.IGNORECASE)

NUMBER, WORD, NAME = r"[0-9]+", r"[a-z]+", r"[A-Z][a-z]+"


def unit_hash(*parts: object) -> float:
    """A number in [0, 1) that depends only on the parts' text."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def final_answer(response: str) -> str | None:
    """The bare final answer of a response; None if it states none."""
    found: list[str] = ANSWER.findall(" ".join(response.split()))
    return normal(found[-1]) if found else None


def normal(answer: str) -> str:
    """Return an answer as answers are compared: without quotes and a final full stop, in lower case."""
    return answer.strip().strip("\"'`").rstrip(".").strip().casefold()


@dataclass(frozen=True)
class Rule:
    """A systematic mistake: `answer` is the result of a wrong procedure (None: the procedure gives no answer).

    `keeps_opening`: False if the mistake is to ignore a required opening, both in writing and in reviewing. `accepts`:
    for skills with many possible answers, decides by the wrong procedure whether an answer is right; else None.
    """

    answer: Callable[..., str | None]
    keeps_opening: bool = True
    accepts: Callable[[Values, str], bool] | None = None


@dataclass(frozen=True)
class Skill:
    """One checkable skill. `solve(*values)` is the true answer; None if the instance cannot be solved.

    `fields` maps each field to the regular expression of its text; `draw` makes values (held out or not); `topics` are
    the skill's unique keywords; `summary` is a format string over the fields. `accepts` is set if many answers are
    right (benchmarks then skip the skill). `opening(*values)` is the required first word of the response.
    `same_as(*values)` is the key of the question: instances with the same key are in the same split and get the same
    answer from a model, e.g. 3 + 4 and 4 + 3. `by_form`: whether pairs of a fact and a wording are held out, not whole
    facts, because no model can know a fact that it never saw.
    """

    name: str
    domain: str
    fields: Mapping[str, str]
    forms: tuple[str, ...]
    draw: Callable[[random.Random], Values]
    solve: Callable[..., str | None]
    rules: Mapping[str, Rule]
    topics: tuple[str, ...]
    summary: str
    accepts: Callable[[Values, str], bool] | None = None
    opening: Callable[..., str] | None = None
    same_as: Callable[..., str] | None = None
    by_form: bool = False

    @property
    def unique(self) -> bool:
        """Whether only one answer is right: a benchmark can then compare strings."""
        return self.accepts is None

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        slots = {**self.fields, **{slot: "|".join(words) for slot, words in DRESS.items()}}
        return tuple(_compile(form, slots) for form in self.forms)

    @cached_property
    def dresses(self) -> tuple[tuple[str, ...], ...]:
        """For each wording, its slots for irrelevant words (see vocabulary.DRESS)."""
        return tuple(tuple(slot for slot in DRESS if f"{{{slot}}}" in form) for form in self.forms)

    @cached_property
    def literals(self) -> frozenset[str]:
        """The literal parts of the wordings that have at least 12 characters. A text that contains one of them but
        cannot be parsed is a flawed instruction."""
        parts = {part.strip() for form in self.forms for part in re.split(r"\{\w+\}", form)}
        return frozenset(part for part in parts if len(part) >= 12)


def _compile(form: str, fields: Mapping[str, str]) -> re.Pattern[str]:
    seen: set[str] = set()
    pattern = ""
    for number, part in enumerate(re.split(r"\{(\w+)\}", form)):
        if number % 2 == 0:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part})"
        else:
            seen.add(part)
            pattern += f"(?P<{part}>{fields[part]})"
    return re.compile(pattern)


@dataclass(frozen=True)
class Instance:
    """One question of one skill in one wording. `dress`: the irrelevant words that fill the slots `skill.dresses[form]`
    of the wording.

    Instances with equal `key` are the same question.
    """

    skill: Skill = field(compare=False, hash=False)
    name: str
    form: int
    values: Values
    dress: Values = ()

    @property
    def text(self) -> str:
        return self.write(self.values)

    def write(self, values: Values) -> str:
        """Return the instance's wording with these values in its fields."""
        fields = dict(zip(self.skill.fields, values, strict=True))
        dress = dict(zip(self.skill.dresses[self.form], self.dress, strict=True))
        return self.skill.forms[self.form].format(**fields, **dress)

    @property
    def key(self) -> str:
        """Identifies the question, regardless of its wording."""
        same = self.skill.same_as
        return same(*self.values) if same else "|".join((self.name, *self.values))

    @property
    def held_out(self) -> bool:
        """Whether this instance belongs to the benchmarks. A hash of the instance decides this; the wording enters the
        hash only for skills with `by_form`."""
        return _held_out(f"{self.name}|{'|'.join(self.values)}|{self.form}" if self.skill.by_form else self.key)

    @property
    def answer(self) -> str | None:
        return self.skill.solve(*self.values)

    @property
    def opening(self) -> str:
        return self.skill.opening(*self.values) if self.skill.opening else ""

    @property
    def summary(self) -> str:
        return self.skill.summary.format(**dict(zip(self.skill.fields, self.values, strict=True)))

    @property
    def keywords(self) -> tuple[str, str, str]:
        topics = self.skill.topics
        return topics[0], topics[1 + self.form % (len(topics) - 1)], " ".join(self.values[:2])

    def is_right(self, response: str) -> bool:
        """Whether a response has the required opening and a final answer that the true solver or checker accepts."""
        given, truth = final_answer(response), self.answer
        if given is None or truth is None or not starts_with(response, self.opening):
            return False
        return self.skill.accepts(self.values, given) if self.skill.accepts else given == normal(truth)


@cache
def _held_out(key: str) -> bool:
    return unit_hash("held-out", key) * 100 < HELD_OUT_PERCENT


def starts_with(response: str, opening: str) -> bool:
    return response.lstrip().casefold().startswith(opening.casefold())


def say(answer: str, opening: str = "", preface: str = "") -> str:
    """A response in the world's form: the required opening or else the speaker's preface, then the final answer."""
    return f"{opening} the answer is {answer}." if opening else f"{preface}The answer is {answer}."
