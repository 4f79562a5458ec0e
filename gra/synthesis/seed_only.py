"""Stage: the seeds as they are, as a data folder of the same form: the arm that training on synthetic data is compared with.

A seed without an answer cannot be trained on: it is dropped, with that reason.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, Problem, SeedError
from gra.labels import simulated
from gra.settings import Settings, parse
from gra.synthesis import trial
from gra.synthesis.records import Outcome, Roles, Seed
from gra.synthesis.seeds import SeedSettings, check_seeds, load_seeds, report_bad, seed_files

NAME = "seed_only"
VERSION = 3  # 3: more endings of replies are told; seeds are read record by record, without marks of reasoning or templates
INSIDE_INPUTS = {"seeds.path": "seeds"}  # a relative path lies in the input `seeds`, if there is one
NO_ANSWER = "response_missing"

log = logging.getLogger(__name__)


class SeedOnlySettings(Settings):
    """The stage's config: the seeds, and the run's seed, which draws the subset."""

    seed: int
    seeds: SeedSettings
    runtime: dict[str, Any] = Field(default_factory=dict)


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Every fault of the configuration that can be seen without doing any work."""
    settings, problems = parse(SeedOnlySettings, config)
    if settings is None:
        return problems
    base = inputs.get("seeds")
    return check_seeds(settings.seeds, base=base, base_pending="seeds" in inputs and base is None)


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """The seed file or folder: its content is part of what the stage makes."""
    settings, _ = parse(SeedOnlySettings, config)
    return {} if settings is None else seed_files(settings.seeds)


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """What keeps the seeds from being loaded."""
    return trial.problems(parse(SeedSettings, config.get("seeds") or {})[0], inputs)


def kept(folder: Path) -> str:  # noqa: ARG001 - of any working folder
    """Nothing in a working folder of this stage is worth keeping: all of it is made again at no price."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the data folder. inputs["seeds"], if there is one, is the folder that a relative `seeds.path` lies in.

    Raises ConfigError, SeedError.
    """
    from gra.synthesis.dataset import CardInfo, write_dataset
    from gra.synthesis.stats import statistics

    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = SeedOnlySettings.model_validate(config)
    base = inputs.get("seeds")
    found = load_seeds(settings.seeds, settings.seed, base)
    report_bad(found.bad, output)
    outcomes = [_outcome(seed, index) for index, seed in enumerate(found.seeds)]
    kept = [o for o in outcomes if o.status == "accepted"]
    rejected = [o for o in outcomes if o.status == "rejected"]
    if not kept:
        raise SeedError(f"{found.name}: none of the {len(outcomes)} seeds has an answer to train on; choose a set with responses")
    labelled = simulated([base, *seed_files(settings.seeds).values()])
    stats = statistics(kept, rejected, simulated=labelled)
    stats["seeds"] = found.statistics()
    card = CardInfo(
        title="Seed instruction data as it is",
        method="A subset of the seed set, unchanged but for joining instruction and input: no model wrote, reviewed or chose it.",
        seeds_name=found.name,
        seeds_account=found.account(),
        license=found.license,
        settings=settings.seeds.model_dump(mode="json", exclude={"path"}),
        seed=settings.seed,
        simulated=labelled,
    )
    write_dataset(output, kept, rejected, stats, card, decision="seed")
    return {"kept": float(len(kept)), "rejected": float(len(rejected)), "bad": float(len(found.bad))}


def _outcome(seed: Seed, index: int) -> Outcome:
    """A seed in the form of a sample of round 0 in which nobody had a role."""
    nobody = Roles(generator="", reviewers=(), adjudicator=None, annotator="")
    answered = bool(seed.response)
    return Outcome(
        id=seed.id, round=0, index=index, domain=seed.domain or "", roles=nobody, parents=(),
        status="accepted" if answered else "rejected", reason="" if answered else NO_ANSWER,
        detail="" if answered else f"{seed.place}: the seed has no response", instruction=seed.instruction, response=seed.response,
    )  # fmt: skip
