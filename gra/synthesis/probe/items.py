"""PURE: builds the items of a probe, which are answers to judge: right answers, wrong answers that a rule makes from
them, and answers of the pool's models.

    right         a seed's own answer
    mismatched    the answer to another question, of the same domain and about the same length
    changed       the right answer with a number or an operator changed
    truncated     the beginning of the right answer
    negated       the right answer with a negation added or removed, or a word replaced by its opposite
    known-wrong   a wrong answer from the question's source (another option of a multiple choice)
    on-policy     the answer of a model of the pool to a question with a known answer; a rule decides whether it is right

The run's random seed determines all items. For some questions, a rule can grade any answer (exact.py). If this rule
contradicts the label of an item (right or wrong), the item is left out. This happens, for example, if a seed's own
answer is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gra.known import Known
from gra.synthesis.committee.randomness import stream
from gra.synthesis.probe.alterations import ALTERATIONS
from gra.wellformed import folded

WRONG = ("mismatched", "changed", "truncated", "negated", "known-wrong")
UNKNOWN = "any domain"
SIMILAR = 8  # answers to other questions that are drawn; the one nearest in length is used
_LONGEST = 4000  # maximum characters of a text that is shown


@dataclass(frozen=True)
class Item:
    """An answer that the models of a probe judge. `kind`: how the answer was made, such as "right", "truncated" or
    "on-policy". The docstring of this module explains all kinds. `question`: the id of its question. Several items can
    have the same question. `author`: the model that wrote the answer, or None if no model of the pool did."""

    id: str
    kind: str
    question: str
    domain: str
    instruction: str
    response: str
    right: bool
    author: str | None = None


@dataclass(frozen=True)
class Pair:
    """A question with its right answer. `known`: the same question with a rule that grades other answers, or None if
    there is no such rule."""

    id: str
    instruction: str
    response: str
    domain: str
    known: Known | None = None

    def agrees(self, response: str, right: bool) -> bool:
        """Return False if the question's rule contradicts the label `right` of the answer `response`. Return True if
        the rule agrees or cannot decide, or if there is no rule."""
        verdict = self.known.right(response) if self.known is not None else None
        return verdict is None or verdict is right


def by_rule(pairs: Sequence[Pair], count: int, seed: int, kinds: Sequence[str] = WRONG) -> list[Item]:
    """Return right and wrong items that no model wrote, at most `count` right ones and `count` wrong ones. They are
    spread evenly over the domains, and the wrong items also over their `kinds`. If no wrong item can be made for many
    of the questions, there are fewer than `count`.

    For each wrong item there is a right item of the same question. So differences between questions do not affect the
    comparison of right and wrong items.
    """
    items: list[Item] = []
    made = dict.fromkeys(kinds, 0)
    for pair in _mixed(pairs, seed):
        if len(items) >= 2 * count:
            break
        if not pair.agrees(pair.response, right=True):
            continue
        rng = stream(seed, "probe", pair.id)
        for kind in sorted(made, key=lambda k: (made[k], rng.random())):
            wrong = _wrong(kind, pair, pairs, rng)
            if wrong is not None:
                made[kind] += 1
                items += [_item(pair, "right", pair.response, right=True), _item(pair, kind, wrong, right=False)]
                break
    return items


def on_policy(known: Known, author: str, reply: str) -> Item | None:
    """Return the answer `reply`, which the model `author` gave to the question `known`, as an item. The question's rule
    decides whether the answer is right. Return None if the rule cannot decide."""
    verdict = known.right(reply)
    if verdict is None:
        return None
    domain = known.domain or UNKNOWN
    return Item(
        f"{known.id}/{author}", "on-policy", known.id, domain, known.instruction, reply[:_LONGEST], verdict, author
    )


def choose_known(known: Sequence[Known], count: int, seed: int) -> list[Known]:
    """Return `count` of the questions, spread evenly over the domains."""
    by_id = {one.id: one for one in known}
    pairs = [Pair(one.id, one.instruction, one.response, one.domain or UNKNOWN) for one in known]
    return [by_id[pair.id] for pair in _mixed(pairs, seed)[:count]]


def _mixed(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Return all pairs in a random order that `seed` determines, taking one pair of each domain in turn."""
    domains: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda p: p.id):
        domains.setdefault(pair.domain, []).append(pair)
    for domain, found in domains.items():
        stream(seed, "probe order", domain).shuffle(found)
    longest = max((len(found) for found in domains.values()), default=0)
    return [found[i] for i in range(longest) for _, found in sorted(domains.items()) if i < len(found)]


def _wrong(kind: str, pair: Pair, pairs: Sequence[Pair], rng: random.Random) -> str | None:
    if kind == "known-wrong":
        made = rng.choice(pair.known.wrong) if pair.known is not None and pair.known.wrong else None
    elif kind == "mismatched":
        made = _of_another(pair, pairs, rng)
    else:
        made = ALTERATIONS[kind](pair.response, rng)
    if made is None or made.strip() == pair.response.strip() or not pair.agrees(made, right=False):
        return None
    return made


def _of_another(pair: Pair, pairs: Sequence[Pair], rng: random.Random) -> str | None:
    others = [
        p for p in sorted(pairs, key=lambda p: p.id) if p.domain == pair.domain and p.instruction != pair.instruction
    ]
    drawn = rng.sample(others, min(SIMILAR, len(others)))
    drawn = [p for p in drawn if folded(p.response) != folded(pair.response)]
    return min(drawn, key=lambda p: abs(len(p.response) - len(pair.response))).response if drawn else None


def _item(pair: Pair, kind: str, response: str, *, right: bool) -> Item:
    shown = response[:_LONGEST]
    return Item(f"{pair.id}/{kind}", kind, pair.id, pair.domain, pair.instruction[:_LONGEST], shown, right)


def shown(items: Sequence[Item]) -> Mapping[str, int]:
    """Return how many items there are of each kind."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return counts
