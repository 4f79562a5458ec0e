"""Writes the unchanged seeds to a data folder with the same files as a synthesis. Experiments compare synthetic data
with this baseline.

A seed without an answer cannot be trained on. It is dropped with the reason `response_missing`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, Problem, SeedError
from gra.labels import simulated
from gra.outlook import Cost, Outlook, Upstream
from gra.settings import Settings, parse
from gra.synthesis.committee.records import Outcome, Roles, Seed
from gra.synthesis.seeds import trial
from gra.synthesis.seeds.load import SeedSettings, check_seeds, load_seeds, report_bad, seed_files

NAME = "seed_only"
# 3: more ways in which replies end are recognised; seeds are read record by record, without reasoning and template tokens
VERSION = 3
ADDED_LATER = {"seeds.columns.keywords": None, "seeds.columns.summary": None}
INSIDE_INPUTS = {"seeds.path": "seeds"}  # a relative path is inside the input `seeds`, if there is one
NO_ANSWER = "response_missing"

log = logging.getLogger(__name__)


class SeedOnlySettings(Settings):
    """The whole config of the stage `seed_only`, which writes a data set of seeds only."""

    seed: int = Field(description="Seed that draws the subset of `seeds.limit` seeds.")
    seeds: SeedSettings = Field(description="The seeds.")
    runtime: dict[str, Any] = Field(default_factory=dict, description="No effect.")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config that can be found without doing any work."""
    settings, problems = parse(SeedOnlySettings, config)
    if settings is None:
        return problems
    base = inputs.get("seeds")
    return check_seeds(settings.seeds, base=base, base_pending="seeds" in inputs and base is None)


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return the seed file or folder, or {} for a hub data set. The content of the file or folder belongs in the
    fingerprint of the step, because it decides the output."""
    settings, _ = parse(SeedOnlySettings, config)
    return {} if settings is None else seed_files(settings.seeds)


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the reasons why the seeds cannot be loaded; [] if they can be loaded."""
    return trial.problems(parse(SeedSettings, config.get("seeds") or {})[0], inputs)


def outlook(
    config: dict[str, Any],
    inputs: Mapping[str, Path | None],
    own: Path | None,  # noqa: ARG001
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,  # noqa: ARG001
) -> Outlook:
    """Return how many records this stage is expected to write, for `gra plan`. The cost is zero, because the stage
    calls no model."""
    seeds = SeedOnlySettings.model_validate(config).seeds
    known = [number for number in (seeds.limit, trial.count(seeds, inputs)) if number is not None]
    return Outlook(cost=Cost(), rows=min(known, default=None))


def kept(folder: Path) -> str:  # noqa: ARG001 - the same for every folder
    """Return "", because an unfinished folder of this stage holds no work worth keeping. Making it again costs
    nothing."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the seeds to a data folder. If `inputs` has an entry `seeds`, its value is a folder, and a relative path in
    the setting `seeds.path` starts at this folder.

    Raises ConfigError for an invalid config, and SeedError if the seeds cannot be loaded or none has an answer.
    """
    from gra.synthesis.output.dataset import CardInfo, write_dataset
    from gra.synthesis.output.stats import statistics

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
        message = f"{found.name}: none of the {len(outcomes)} seeds has an answer to train on"
        raise SeedError(f"{message}\n    -> choose seeds with responses")
    labelled = simulated([base, *seed_files(settings.seeds).values()])
    stats = statistics(kept, rejected, simulated=labelled)
    stats["seeds"] = found.statistics()
    card = CardInfo(
        title="Unchanged seed instruction data",
        method="A subset of the seeds, instruction and input joined, otherwise unchanged: no model wrote, reviewed or chose it.",
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
    """Return a seed as a sample of round 0 without roles."""
    nobody = Roles(generator="", reviewers=(), adjudicator=None, annotator="")
    answered = bool(seed.response)
    return Outcome(
        id=seed.id,
        round=0,
        index=index,
        domain=seed.domain or "",
        roles=nobody,
        parents=(),
        status="accepted" if answered else "rejected",
        reason="" if answered else NO_ANSWER,
        detail="" if answered else f"{seed.place}: the seed has no response",
        instruction=seed.instruction,
        response=seed.response,
    )
