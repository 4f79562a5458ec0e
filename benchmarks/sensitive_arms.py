"""Arms of the simulated world, in process: rounds of proposals by the committee's own protocol, counted by the world's truth.

What benchmarks/sensitivity.py runs some thousand times. Left out is what it does not ask about: the engine, MiniLM (equal
instructions are dropped instead of similar ones), decontamination and training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from gra.simulation.models import SMALL, answer
from gra.simulation.traits import Traits
from gra.simulation.world import SKILLS, judge, parse
from gra.simulation.world_stage import WorldSettings, seeds_of
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.protocol import annotate, annotate_seed, propose
from gra.synthesis.committee.records import DOMAINS, Record, Seed
from gra.synthesis.rounds import as_record
from gra.synthesis.settings import SynthesisSettings

T = TypeVar("T")
ROUNDS, MOST = 3, 8  # rounds of an arm, and most proposals for each sample wanted
COMMITTEE: dict[str, Any] = {}
NO_REVIEW: dict[str, Any] = {"review": False, "adjudicate": False}
ALONE: dict[str, Any] = {"roles": "single", **NO_REVIEW}
Pair = tuple[str, str]  # instruction, response


@dataclass(frozen=True)
class Arm:
    """What an arm's data is: `wrong` of the samples that have an answer, `flawed` of all (tasks that have none), `cover`: of the
    kinds of test items (skill and wording), how many a learner of this data would answer rightly by what it saw of that kind;
    `keep` the kept share of proposals."""

    wrong: float
    flawed: float
    cover: float
    keep: float
    samples: int


def drive(talk: Generator[list[Any], list[Any], T], world_seed: int, traits: Traits) -> T:
    """A protocol whose calls the simulated models answer at once."""
    try:
        asks = next(talk)
        while True:
            asks = talk.send([answer(ask.request, world_seed, traits) for ask in asks])
    except StopIteration as stop:
        value: T = stop.value
        return value


def arm(settings: dict[str, Any], models: Sequence[str], traits: Traits, size: int, seed: int) -> Arm:
    """The data of one arm: `size` samples in ROUNDS rounds, in world `seed`; fewer if too few are accepted."""
    chosen = SynthesisSettings.model_validate(settings)
    rules = Rules(seed, chosen)
    records = _annotated(rules, models[0], traits, seed)
    seen, pairs, proposed = {record.instruction for record in records}, [], 0
    for number in range(1, ROUNDS + 1):
        pool = by_domain(records, chosen.shots)
        wanted, index, fresh = round(size * number / ROUNDS), 0, []
        while len(pairs) < wanted and index < MOST * size // ROUNDS:
            proposal = draw_proposal(seed, number, index, pool, models, chosen)
            found = drive(propose(proposal, rules), seed, traits)
            index += 1
            if found.status == "accepted" and found.instruction not in seen:
                seen.add(found.instruction)
                pairs.append((found.instruction, found.response))
                fresh.append(drive(annotate(found, rules), seed, traits))
        proposed += index
        records += [as_record(kept) for kept in fresh if kept.summary is not None]
    return judged(pairs, len(pairs) / proposed if proposed else 0.0)


def seed_arm(size: int, seed: int) -> Arm:
    """The arm trained on seeds alone."""
    return judged([(one.instruction, one.response) for one in _seeds(size, seed)], 1.0)


def judged(pairs: Iterable[Pair], keep: float) -> Arm:
    """An arm's data by the world's truth."""
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    count: Counter[bool | None] = Counter()
    for instruction, response in pairs:
        verdict, instance = judge(instruction, response), parse(instruction)
        count[verdict] += 1
        if verdict is not None and instance is not None:
            cells[instance.name, instance.form].append(float(verdict))
    told, n = count[True] + count[False], count.total()
    nan = float("nan")
    return Arm(count[False] / told if told else nan, count[None] / n if n else nan, _cover(cells), keep, n)


def _cover(cells: dict[tuple[str, int], list[float]]) -> float:
    """The mean over domains, as of benchmarks; a kind without a sample counts 0."""
    shares = []
    for domain in DOMAINS:
        skills = [skill for skill in SKILLS.values() if skill.domain == domain and skill.unique]
        kinds = [(skill.name, form) for skill in skills for form in range(len(skill.forms))]
        shares.append(fmean(fmean(cells[kind]) if kind in cells else 0.0 for kind in kinds))
    return fmean(shares)


def _seeds(size: int, seed: int) -> list[Seed]:
    made = seeds_of(WorldSettings(seeds=size), seed)
    return [Seed(one["id"], one["instruction"], one["output"], domain=one["domain"]) for one in made]


def _annotated(rules: Rules, model: str, traits: Traits, seed: int) -> list[Record]:
    """The pool that an arm starts from: seeds with the metadata that a model wrote."""
    found = [drive(annotate_seed(one, model, rules), seed, traits)[0] for one in _seeds(140, seed)]
    return [record for record in found if record is not None]


__all__ = ["ALONE", "COMMITTEE", "NO_REVIEW", "SMALL", "Arm", "Pair", "arm", "judged", "seed_arm"]
