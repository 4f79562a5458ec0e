"""The stage `world`: writes seeds, benchmarks and text for tokenizers, all from the simulated world, for experiments
without real models.

The files are seeds/seeds.jsonl, benchmarks/<task>.jsonl (one task per domain), corpus.txt and SIMULATED. Seeds and
corpus contain no question that is held out for benchmarks (see gra/simulation/world/__init__.py). The same config
always gives the same bytes.

An experiment runs the stage as a step. To run it alone: `python -m gra.simulation.world_stage FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, Problem
from gra.fileio import write_text
from gra.settings import Settings, parse
from gra.simulation.world import SEED_FORMS, SKILLS, Instance, Skill, draw, judge, say, skills_of
from gra.synthesis.committee.records import DOMAINS

NAME = "world"
VERSION = 1
LABEL = "made in a closed world of checkable skills (gra.simulation): not real data, and no measure of real models\n"
SEEDS = "seeds/seeds.jsonl"
_PATIENCE = 50  # a skill counts as exhausted after this many draws in a row without a new text


class WorldSettings(Settings):
    """Sizes of the files that the simulated world writes."""

    seeds: int = Field(1500, ge=1, le=20_000, description="Seed records, spread evenly over the domains.")
    wrong_seed_share: float = Field(
        0.08, ge=0, le=1, description="Share of seeds with a wrong answer, as in hand-made sets."
    )
    test_per_task: int = Field(150, ge=1, le=2000, description="Held-out items per benchmark.")
    corpus_pairs: int = Field(
        4000, ge=100, le=1_000_000, description="Pairs of question and answer lines in corpus.txt."
    )


class WorldStageSettings(Settings):
    """The whole config of the stage `world`."""

    seed: int = Field(0, description="Seed of all random draws.")
    world: WorldSettings = Field(WorldSettings(), description="Sizes of the files.")
    runtime: dict[str, Any] = Field(default_factory=dict, description="No effect.")


def task_of(domain: str) -> str:
    """Return the name of a domain's benchmark, e.g. `question_answering` for the domain `question answering`."""
    return domain.replace(" ", "_").replace("-", "_")


def benchmark_items(config: dict[str, Any]) -> dict[str, int]:
    """Return the number of items of each benchmark that the stage writes. The keys are the names that the benchmarks
    have in a benchmark suite, e.g. "world_coding". The result is {} if the config is faulty."""
    settings, _ = parse(WorldStageSettings, config)
    return {} if settings is None else {f"world_{task_of(domain)}": settings.world.test_per_task for domain in DOMAINS}


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config."""
    problems = parse(WorldStageSettings, config)[1]
    return problems + [Problem(f"inputs.{name}", "the stage `world` takes no input", "leave it out") for name in inputs]


def kept(folder: Path) -> str:  # noqa: ARG001 - the same for all folders
    """Return "", because nothing in the working folder was paid for or took long to compute."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the seeds and the benchmarks of the simulated world to `output`, and a text corpus for tokenizers. Return
    how much was written.

    The result has the numbers `seeds`, `wrong_seed_share` (the proportion of seeds with a wrong answer), `tasks`,
    `test_items` and `corpus_lines`. Raises ConfigError if the config is faulty, or if the world has too few different
    questions.
    """
    settings, _ = parse(WorldStageSettings, config)
    problems = check(config, dict(inputs))
    if problems or settings is None:
        raise ConfigError(problems)
    world = settings.world
    seeds = seeds_of(world, settings.seed)
    tests = {task_of(domain): _test(domain, world.test_per_task, settings.seed) for domain in DOMAINS}
    short = [
        Problem(
            "world.test_per_task",
            f"the benchmark {task} has only {len(items)} held-out items",
            f"set at most {len(items)}",
        )
        for task, items in tests.items()
        if len(items) < world.test_per_task
    ]
    if len(seeds) < world.seeds:
        short.append(
            Problem("world.seeds", f"the world has only {len(seeds)} different seeds", f"set at most {len(seeds)}")
        )
    if short:
        raise ConfigError(short)
    corpus = _corpus(world.corpus_pairs, random.Random(f"{settings.seed}/corpus"))
    write_text(output / SEEDS, _lines(seeds))
    for task, items in tests.items():
        write_text(output / "benchmarks" / f"{task}.jsonl", _lines(items))
    write_text(output / "corpus.txt", corpus)
    write_text(output / "SIMULATED", LABEL)
    wrong = sum(judge(seed["instruction"], seed["output"]) is False for seed in seeds)
    return {
        "seeds": float(len(seeds)),
        "wrong_seed_share": wrong / len(seeds),
        "tasks": float(len(tests)),
        "test_items": float(sum(map(len, tests.values()))),
        "corpus_lines": float(corpus.count("\n")),
    }


def _lines(records: list[dict[str, str]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _distinct(skills: tuple[Skill, ...], rng: random.Random, forms: range, held_out: bool) -> Iterator[Instance]:
    """Yield instances with different texts. The skills take turns until all of them are exhausted."""
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


def seeds_of(world: WorldSettings, seed: int) -> list[dict[str, str]]:
    """Return the simulated world's seeds as records. A skill is a kind of question, which can be worded in several
    ways; seeds use only the first SEED_FORMS (2) of its wordings. A skill has one right rule for the answer, and
    several wrong ones (typical mistakes). Some seeds have a wrong answer, computed by one of the wrong rules.
    `world.wrong_seed_share` is the proportion of seeds with a wrong answer."""
    rng = random.Random(f"{seed}/seeds")
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
            "id": f"seed-{place:05d}",
            "instruction": instance.text,
            "input": "",
            "output": response,
            "domain": instance.skill.domain,
        }
        for place, (instance, response) in enumerate(records)
    ]


def _right_response(instance: Instance) -> str:
    return say(str(instance.answer), instance.opening)


def _wrong_response(instance: Instance, rng: random.Random) -> str | None:
    """The answer of one of the wrong rules; None if all of them are right on this instance."""
    rules = list(instance.skill.rules.values())
    rng.shuffle(rules)
    for rule in rules:
        response = say(str(rule.answer(*instance.values)), instance.opening if rule.keeps_opening else "")
        if not instance.is_right(response):
            return response
    return None


def _test(domain: str, n: int, seed: int) -> list[dict[str, str]]:
    """Held-out items in all wordings, from skills with a unique answer; `answer` is the bare final answer."""
    skills = tuple(skill for skill in skills_of(domain) if skill.unique)
    rng = random.Random(f"{seed}/test/{domain}")
    items: list[dict[str, str]] = []
    for instance in _distinct(skills, rng, range(len(skills[0].forms)), held_out=True):
        items.append(
            {
                "id": f"{task_of(domain)}-{len(items):04d}",
                "question": instance.text,
                "answer": str(instance.answer),
                "domain": domain,
                "skill": instance.name,
            }
        )
        if len(items) == n:
            break
    return items


def _corpus(pairs: int, rng: random.Random) -> str:
    """Questions and true answers of the open split in all wordings, one per line: for tokenizers, not for training."""
    lines = []
    for number in range(pairs):
        skill = tuple(SKILLS.values())[number % len(SKILLS)]
        instance = draw(skill, rng, range(len(skill.forms)))
        if instance is not None:
            lines += [instance.text, _right_response(instance)]
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    """Run the stage with its default settings, print how many seeds it wrote, and return the exit code. `argv`: the
    arguments of the command line. The only one is the folder to write to."""
    parser = argparse.ArgumentParser(
        "python -m gra.simulation.world_stage", description="Write seeds and benchmarks of the simulated world."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="files of the same names are replaced")
    folder = parser.parse_args(argv).folder
    stats = run({}, {}, folder)
    print(
        f"{folder / SEEDS}: {stats['seeds']:,.0f} seeds, of which {stats['wrong_seed_share']:.0%} are wrong (simulated)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
