"""Defines skills and their questions (instances). A skill has wordings that can be parsed, a generator of questions, a
solver and wrong rules.

A wording is a template with slots, called a form. An instance consists of the number of a form and the values for its
slots, which are called the skill's fields. GRA uses a form both to write an instruction and to parse one, so the right
answer to any instruction follows from its text.
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
    """Return a number in [0, 1) that is a hash of the text of `parts`. The same parts always give the same number."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def final_answer(response: str) -> str | None:
    """Return the final answer that a response states, without the words around it. None if the response states no
    answer."""
    found: list[str] = ANSWER.findall(" ".join(response.split()))
    return normal(found[-1]) if found else None


def normal(answer: str) -> str:
    """Return an answer in lower case, without quotes and without a final full stop. Answers are compared in this
    form."""
    return answer.strip().strip("\"'`").rstrip(".").strip().casefold()


@dataclass(frozen=True)
class Rule:
    """A wrong rule: a procedure that models follow by mistake when they answer a question.

    - `answer(*values)`: returns the answer that the procedure gives, or None if it gives none.
    - `keeps_opening`: false if the mistake is to ignore the required first word of a response. The model then ignores
      this word both when it writes and when it reviews.
    - `accepts(values, answer)`: returns whether an answer is right by the wrong procedure. It is set only for skills
      whose questions have many right answers.
    """

    answer: Callable[..., str | None]
    keeps_opening: bool = True
    accepts: Callable[[Values, str], bool] | None = None


@dataclass(frozen=True)
class Skill:
    """A kind of question whose answers can be checked.

    - `forms`: the wordings, which are question templates with placeholders.
    - `fields`: name of a placeholder -> regular expression for the texts that can fill it. The mapping has only the
      placeholders on which the answer depends.
    - `draw`: returns random texts for the placeholders in `fields`.
    - `solve(*values)`: returns the right answer, or None if the question cannot be solved.
    - `rules`: name -> wrong rule, a procedure that models follow by mistake when they answer a question.
    - `topics`: keywords that belong to this skill only.
    - `summary`: a template for a question's summary. Its placeholders are those in `fields`.
    - `accepts(values, answer)`: returns whether an answer is right. It is set only if a question has many right
      answers. Benchmarks do not use such a skill.
    - `opening(*values)`: returns the required first word of a response.
    - `same_as(*values)`: returns the key of the question. Questions with the same key, e.g. 3 + 4 and 4 + 3, are held
      out for benchmarks together. A model solves all of them or follows the same wrong rule on all of them.
    - `by_form`: whether each wording of a question is held out for benchmarks separately. If it is True, some wordings
      of a question can be held out, while training data can have its other wordings. This is so for facts, because no
      model can know a fact that it never saw.
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
        """Whether only one answer is right, so that a benchmark can compare strings."""
        return self.accepts is None

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        slots = {**self.fields, **{slot: "|".join(words) for slot, words in DRESS.items()}}
        return tuple(_compile(form, slots) for form in self.forms)

    @cached_property
    def dresses(self) -> tuple[tuple[str, ...], ...]:
        """For each wording (question template), the names of the placeholders on which the answer does not depend, e.g.
        `spot` for a place. vocabulary.DRESS lists the words that can fill them."""
        return tuple(tuple(slot for slot in DRESS if f"{{{slot}}}" in form) for form in self.forms)

    @cached_property
    def literals(self) -> frozenset[str]:
        """The phrases of at least 12 characters that stand before, between or after the placeholders of the skill's
        question templates. If an instruction contains one of these phrases but cannot be parsed, it is flawed."""
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
    """One question of one skill in one wording. Two instances with the same `key` ask the same question.

    A wording is a question template with placeholders. `form`: the index of the wording, from 0. `values`: the texts
    that fill the placeholders on which the answer depends, in the order of the skill's `fields`. `dress`: the words
    that fill the other placeholders, e.g. the name of a location. These words do not matter for the answer.
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
        """Return the text of the question with other `values` in the same wording."""
        fields = dict(zip(self.skill.fields, values, strict=True))
        dress = dict(zip(self.skill.dresses[self.form], self.dress, strict=True))
        return self.skill.forms[self.form].format(**fields, **dress)

    @property
    def key(self) -> str:
        """A text that identifies the question. It is the same for all wordings of the question."""
        same = self.skill.same_as
        return same(*self.values) if same else "|".join((self.name, *self.values))

    @property
    def held_out(self) -> bool:
        """Whether this instance belongs to the benchmarks. A hash of `key` decides this, so all wordings of a question
        are held out together. For skills with `by_form`, a hash of the values and the wording decides."""
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
        """Return whether a response is right. A right response states a right final answer. If the question requires a
        first word, the response must begin with it."""
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
    """Return a response that states `answer` in a sentence from which `final_answer` can extract it. `opening`: the
    first word that the question requires of a response, or '' if it requires none. The response begins with `opening`,
    or with `preface` if `opening` is ''."""
    return f"{opening} the answer is {answer}." if opening else f"{preface}The answer is {answer}."
