"""PURE: draws the examples that a reviewer is shown before a Yes/No question. An example with the answer Yes is an
unchanged seed. An example with the answer No is a seed that a rule has spoiled, for example by pairing its instruction
with another seed's response.

The examples are drawn once per round and domain, from at most SHELF seeds per domain, so memory does not grow with the
number of seeds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import Record
from gra.synthesis.settings import SynthesisSettings
from gra.wellformed import folded, well_formed

EACH = 3  # examples with the verdict Yes, and as many with No
SHELF = 48  # maximum number of records kept per domain
LONGEST = (120, 200)  # maximum characters of an example's instruction and response; short ones cost less
_SENTENCE = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, slots=True)
class Example:
    """An example that a reviewer is shown before a Yes/No question. It is an instruction and, for questions about
    responses, a response. `good`: whether the right answer is Yes."""

    instruction: str
    response: str
    good: bool


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples for one round and domain. `responses`: the examples shown before a question about a response.
    `instructions`: the examples shown before a question about an instruction."""

    responses: tuple[Example, ...] = ()
    instructions: tuple[Example, ...] = ()


# Used if the seeds give too few usable pairs (no responses, or none short enough).
BUILT_IN = tuple(
    Record(f"built-in-{n}", question, answer, "", words, "")
    for n, (question, answer, words) in enumerate(
        (
            ("What is the capital of France?", "The capital of France is Paris.", ("capital", "France", "city")),
            (
                "Write a polite sentence that declines an invitation.",
                "Thank you for inviting me, but I am afraid I cannot come that evening.",
                ("invitation", "polite", "reply"),
            ),
            ("Add 17 and 25.", "17 + 25 = 42.", ("addition", "numbers", "sum")),
            (
                "Name three things that plants need to grow.",
                "Plants need water, light and nutrients from the soil to grow.",
                ("plants", "growth", "light"),
            ),
            (
                "Rewrite in the past tense: She walks to school.",
                "She walked to school.",
                ("past tense", "verb", "sentence"),
            ),
            (
                "Explain in one sentence why the sky is blue.",
                "Air scatters the blue part of sunlight more than the red part, so the sky looks blue from the ground.",
                ("sky", "light", "colour"),
            ),
        )
    )
)


NONE = Examples()


class Shelf:
    """Keeps the records from which the examples in reviewers' prompts are drawn. For each domain, it keeps at most
    SHELF records (a constant): those whose ids have the smallest hashes. So the order of the argument `records` does
    not matter. Pass None as `records` if reviewers write their scores as text. Then no examples are given."""

    def __init__(self, seed: int, records: Iterable[Record] | None):
        self._seed, self._shown = seed, records is not None
        self._by_domain: dict[str, dict[str, Record]] = {}
        self._drawn: dict[tuple[int, str], Examples] = {}
        for record in records or ():
            if _usable(record):
                shelf = self._by_domain.setdefault(record.domain, {})
                shelf[_hash(seed, record.id)] = record
                if len(shelf) > SHELF:
                    del shelf[max(shelf)]

    def examples(self, number: int, domain: str) -> Examples:
        """Return the examples for the round with the index `number` and for `domain`. If the domain has too few
        records, records of other domains are used too, and then built-in records."""
        if not self._shown:
            return NONE
        key = number, domain
        if key not in self._drawn:
            self._drawn = {k: v for k, v in self._drawn.items() if k[0] == number}  # drops those of earlier rounds
            self._drawn[key] = self._draw(number, domain)
        return self._drawn[key]

    def _draw(self, number: int, domain: str) -> Examples:
        rng = stream(self._seed, "examples", number, domain)
        own = [record for _, record in sorted(self._by_domain.get(domain, {}).items())]
        others = [
            r for name in sorted(self._by_domain) if name != domain for _, r in sorted(self._by_domain[name].items())
        ]
        rng.shuffle(own)
        rng.shuffle(others)
        chosen = _distinct([*own, *others, *BUILT_IN])
        return Examples(_responses(chosen), _instructions(chosen))


def shelf_for(settings: SynthesisSettings, seed: int, records: Iterable[Record]) -> Shelf:
    """Return a shelf that draws examples from `records`. It gives examples only if judges answer with one
    token (synthesis.scoring or synthesis.check_scoring is `probability`)."""
    by_token = settings.scoring == "probability" or settings.checks_by_probability
    return Shelf(seed, records if by_token else None)


def _responses(records: list[Record]) -> tuple[Example, ...]:
    """Return examples for Yes and No in turn: a record with its own response, then a record with another record's
    response."""
    found, wrong = [], records[EACH:]
    for good, bad, other in zip(records[:EACH], wrong, [*wrong[1:], wrong[0]], strict=True):
        found += [
            Example(good.instruction, good.response, good=True),
            Example(bad.instruction, other.response, good=False),
        ]
    return tuple(found)


def _instructions(records: list[Record]) -> tuple[Example, ...]:
    """Return examples for Yes and No in turn: a record's own instruction, then a flawed instruction (truncated, only a
    title, only a statement)."""
    found = []
    flaws = (_cut, _title, _statement)
    for good, bad, flaw in zip(records[:EACH], records[EACH:], flaws, strict=True):
        found += [Example(good.instruction, "", good=True), Example(flaw(bad), "", good=False)]
    return tuple(found)


def _distinct(records: list[Record]) -> list[Record]:
    """Return the first records that share neither instruction nor response, so that the response of one is wrong for another."""
    found: list[Record] = []
    seen: set[str] = set()
    for record in records:
        texts = {folded(record.instruction), folded(record.response)}
        if not texts & seen and len(found) < 2 * EACH:
            found.append(record)
            seen |= texts
    return found


def _cut(record: Record) -> str:
    words = record.instruction.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _title(record: Record) -> str:
    words = [word.strip() for word in record.keywords if word.strip()] or record.instruction.split()[-3:]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words).title()


def _statement(record: Record) -> str:
    return _SENTENCE.split(record.response.strip())[0]


def _usable(record: Record) -> bool:
    instruction, response = record.instruction.strip(), record.response.strip()
    long = len(instruction) > LONGEST[0] or len(response) > LONGEST[1]
    return (
        bool(instruction and response) and not long and well_formed(instruction) == instruction and "\0" not in response
    )


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogatepass")).hexdigest()
