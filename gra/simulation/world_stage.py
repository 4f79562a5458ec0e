"""The stage `world`: seed records, benchmarks and tokenizer text from the simulated world, for experiments that run anywhere.

Writes seeds/seeds.jsonl, benchmarks/<task>.jsonl (one task per domain), corpus.txt and SIMULATED. Seeds and corpus come from
the open split, benchmarks from the held-out one (see gra/simulation/world/__init__.py). Same config, same bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, Problem
from gra.fileio import write_text
from gra.settings import Settings, parse
from gra.simulation.world import SEED_FORMS, SKILLS, Instance, Skill, draw, judge, say, skills_of
from gra.synthesis.records import DOMAINS

NAME = "world"
VERSION = 1
LABEL = "made in a closed world of checkable skills (gra.simulation): not real data, and no measure of real models\n"
_PATIENCE = 50  # draws in a row without a new text after which a skill counts as exhausted


class WorldSettings(Settings):
    """How much of the world to write down."""

    seeds: int = Field(1500, ge=1, le=20_000, description="Seed records, spread evenly over the domains.")
    wrong_seed_share: float = Field(0.08, ge=0, le=1, description="Share of seeds with a wrong answer, as hand-made sets have.")
    test_per_task: int = Field(150, ge=1, le=2000, description="Held-out items of each benchmark.")
    corpus_pairs: int = Field(4000, ge=100, le=1_000_000, description="Question and answer lines of corpus.txt.")


class WorldStageSettings(Settings):
    seed: int = 0
    world: WorldSettings = WorldSettings()
    runtime: dict[str, Any] = Field(default_factory=dict)


def task_of(domain: str) -> str:
    """The benchmark's name for a domain: `question answering` -> `question_answering`."""
    return domain.replace(" ", "_").replace("-", "_")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Every fault of the config."""
    problems = parse(WorldStageSettings, config)[1]
    return problems + [Problem(f"inputs.{name}", "the stage `world` takes no input", "leave it out") for name in inputs]


def kept(folder: Path) -> str:  # noqa: ARG001 - of any working folder
    """Nothing in a working folder of this stage is worth keeping: all of it is made again at no price."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the world's files. Returns seeds, wrong_seed_share (as drawn), tasks, test_items, corpus_lines.

    Raises ConfigError, also where the world has fewer different questions than are asked for.
    """
    settings, _ = parse(WorldStageSettings, config)
    problems = check(config, dict(inputs))
    if problems or settings is None:
        raise ConfigError(problems)
    world = settings.world
    seeds = _seeds(world, random.Random(f"{settings.seed}/seeds"))
    tests = {task_of(domain): _test(domain, world.test_per_task, settings.seed) for domain in DOMAINS}
    short = [
        Problem("world.test_per_task", f"the benchmark {task} has but {len(items)} held-out items", f"at most {len(items)}")
        for task, items in tests.items()
        if len(items) < world.test_per_task
    ]
    if len(seeds) < world.seeds:
        short.append(Problem("world.seeds", f"the world has but {len(seeds)} different seeds", f"at most {len(seeds)}"))
    if short:
        raise ConfigError(short)
    corpus = _corpus(world.corpus_pairs, random.Random(f"{settings.seed}/corpus"))
    write_text(output / "seeds" / "seeds.jsonl", _lines(seeds))
    for task, items in tests.items():
        write_text(output / "benchmarks" / f"{task}.jsonl", _lines(items))
    write_text(output / "corpus.txt", corpus)
    write_text(output / "SIMULATED", LABEL)
    wrong = sum(judge(seed["instruction"], seed["output"]) is False for seed in seeds)
    return {
        "seeds": float(len(seeds)), "wrong_seed_share": wrong / len(seeds), "tasks": float(len(tests)),
        "test_items": float(sum(map(len, tests.values()))), "corpus_lines": float(corpus.count("\n")),
    }  # fmt: skip


def _lines(records: list[dict[str, str]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _distinct(skills: tuple[Skill, ...], rng: random.Random, forms: range, held_out: bool) -> Iterator[Instance]:
    """Instances with different texts, the skills in turn, until all of them are exhausted."""
    seen: set[str] = set()
    left = list(skills)
    while left:
        for skill in tuple(left):
            for _ in range(_PATIENCE):
                instance = draw(skill, rng, forms, held_out)
                if instance is not None and instance.text not in seen:
                    seen.add(instance.text)
                    yield instance
                    break
            else:
                left.remove(skill)


def _seeds(world: WorldSettings, rng: random.Random) -> list[dict[str, str]]:
    """Seeds in the narrow set of wordings; a wrong one follows one of its skill's wrong rules."""
    streams = {domain: _distinct(skills_of(domain), rng, range(SEED_FORMS), held_out=False) for domain in DOMAINS}
    chosen: list[Instance] = []
    while streams and len(chosen) < world.seeds:
        for domain in tuple(streams):
            instance = next(streams[domain], None)
            if instance is None:
                del streams[domain]
            elif len(chosen) < world.seeds:
                chosen.append(instance)
    rng.shuffle(chosen)
    wrong = round(world.wrong_seed_share * len(chosen))
    records = []
    for instance in chosen:
        response = _wrong_response(instance, rng) if wrong > 0 else None
        wrong -= response is not None
        records.append((instance, response or _right_response(instance)))
    rng.shuffle(records)
    return [
        {
            "id": f"seed-{place:05d}", "instruction": instance.text, "input": "", "output": response,
            "domain": instance.skill.domain,
        }
        for place, (instance, response) in enumerate(records)
    ]  # fmt: skip


def _right_response(instance: Instance) -> str:
    return say(str(instance.answer), instance.opening)


def _wrong_response(instance: Instance, rng: random.Random) -> str | None:
    """What one of the wrong rules answers, None where none of them errs on this instance."""
    rules = list(instance.skill.rules.values())
    rng.shuffle(rules)
    for rule in rules:
        response = say(str(rule.answer(*instance.values)), instance.opening if rule.keeps_opening else "")
        if not instance.is_right(response):
            return response
    return None


def _test(domain: str, n: int, seed: int) -> list[dict[str, str]]:
    """Held-out items in all wordings, of the skills whose answer is unique; `answer` is the bare final answer."""
    skills = tuple(skill for skill in skills_of(domain) if skill.unique)
    rng = random.Random(f"{seed}/test/{domain}")
    items: list[dict[str, str]] = []
    for instance in _distinct(skills, rng, range(len(skills[0].forms)), held_out=True):
        items.append({
            "id": f"{task_of(domain)}-{len(items):04d}", "question": instance.text, "answer": str(instance.answer),
            "domain": domain, "skill": instance.name,
        })  # fmt: skip
        if len(items) == n:
            break
    return items


def _corpus(pairs: int, rng: random.Random) -> str:
    """Questions and true answers of the open split in all wordings, a line each: for tokenizers, not for training."""
    lines = []
    for number in range(pairs):
        skill = tuple(SKILLS.values())[number % len(SKILLS)]
        instance = draw(skill, rng, range(len(skill.forms)))
        if instance is not None:
            lines += [instance.text, _right_response(instance)]
    return "\n".join(lines) + "\n"
