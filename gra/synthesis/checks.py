"""Finds all faults of a synthesis config at once, before any work: values that are wrong, and keys that contradict each
other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.models.parsed_pool import parsed_pool
from gra.models.pool import check_pool
from gra.settings import parse
from gra.synthesis import prompts
from gra.synthesis.committee.roles import checkers, models_needed
from gra.synthesis.config import SynthesisRuntime
from gra.synthesis.decontamination.sources import check_sources
from gra.synthesis.prompts import own_folder
from gra.synthesis.scoring import likelihood_checks, scales
from gra.synthesis.seeds.load import SeedSettings, check_seeds
from gra.synthesis.settings import SynthesisSettings

SECTIONS = ("seed", "seeds", "pool", "synthesis", "runtime")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config that can be found without doing any work."""
    problems = [
        Problem(key, "unknown key", f"known sections: {', '.join(SECTIONS)}") for key in config if key not in SECTIONS
    ]
    problems += [Problem(key, "required, but not set", f"set {key}") for key in SECTIONS if key not in config]
    if problems:
        return problems
    if not isinstance(config["seed"], int) or isinstance(config["seed"], bool):
        problems.append(
            Problem("seed", f"must be a whole number (got {config['seed']!r})", "correct the value of seed")
        )
    settings, faults = parse(SynthesisSettings, config["synthesis"], "synthesis")
    problems += faults
    if settings is None and isinstance(config["synthesis"], dict):  # the valid values can still conflict
        wrong = {fault.key.split(".")[1] for fault in faults if "." in fault.key}
        settings, _ = parse(
            SynthesisSettings, {key: value for key, value in config["synthesis"].items() if key not in wrong}
        )
    seeds, faults = parse(SeedSettings, config["seeds"], "seeds")
    problems += faults
    if seeds is not None:
        base = inputs.get("seeds")
        problems += check_seeds(seeds, base=base, base_pending="seeds" in inputs and base is None)
    problems += parse(SynthesisRuntime, config["runtime"], "runtime")[1]
    faults = check_pool(config["pool"], config["runtime"])
    problems += faults
    if (
        settings is not None
        and isinstance(config["pool"], dict)
        and not any(fault.key.startswith("pool") for fault in faults)
    ):
        runtime = config["runtime"] if isinstance(config["runtime"], dict) else {}
        pool = parsed_pool(config["pool"], runtime)
        problems += _combinations(settings, list(pool.names))
        problems += likelihood_checks.problems(settings, pool)
        problems += scales.problems(settings, pool, inputs)
    if settings is not None:
        problems += check_sources(settings.decontaminate, inputs)
    return problems


def _fewer(settings: SynthesisSettings, reviewers: int) -> str:
    """The remedy for a pool with too few models."""
    reviews = f" synthesis.min_reviews={reviewers}" if settings.min_reviews > reviewers else ""
    return f"add models, or set synthesis.reviewers={reviewers}{reviews}, or synthesis.roles=single"


def _combinations(settings: SynthesisSettings, models: list[str]) -> list[Problem]:
    problems = []
    needed = models_needed(settings)
    if needed > len(models):
        problems.append(
            Problem(
                "synthesis.reviewers",
                f"1 generator + {settings.reviewers if settings.review else 0} reviewers + "
                f"{needed - 1 - (settings.reviewers if settings.review else 0)} adjudicator need {needed} models, "
                f"pool.models has {len(models)}",
                _fewer(settings, max(1, len(models) - 2)),
            )
        )
    if settings.review and settings.min_reviews > settings.reviewers:
        message = (
            f"{settings.reviewers} reviewer{'s'[: settings.reviewers != 1]} cannot give {settings.min_reviews} reviews"
        )
        problems.append(Problem("synthesis.min_reviews", message, f"set it to {settings.reviewers} or less"))
    if settings.composite == "correctness" and not settings.scores_each_dimension:
        message = (
            f"correctness needs a score for each dimension, and synthesis.questions={settings.questions} gives one"
        )
        problems.append(
            Problem("synthesis.composite", message, "set synthesis.questions=dimensions, or another composite")
        )
    if settings.composite == "correctness" and settings.calibrate != "none":
        message = "correctness needs a score for each dimension, and a calibrated review has one score"
        problems.append(Problem("synthesis.composite", message, "set synthesis.calibrate=none, or another composite"))
    if settings.single_model is not None and settings.roles not in ("single", "one_generator"):
        needs = "synthesis.roles=single or synthesis.roles=one_generator"
        problems.append(Problem("synthesis.single_model", f"needs {needs}", f"set {needs}"))
    if settings.single_model is not None and settings.single_model not in models:
        problems.append(
            Problem("synthesis.single_model", f"{settings.single_model!r} is not in the pool", f"one of {models}")
        )
    for model in checkers(settings):
        if model not in models:
            problems.append(Problem("synthesis.checkers", f"{model!r} is not in the pool", f"any of {models}"))
    if settings.proposal_limit < settings.samples_per_round:
        message = f"{settings.proposal_limit} proposals cannot yield {settings.samples_per_round} samples"
        problems.append(Problem("synthesis.max_proposals", message, "raise it, or set it to null"))
    if settings.prompts not in prompts.EDITIONS and not Path(settings.prompts).is_dir():
        what = f"no such folder: {settings.prompts}"
        problems.append(Problem("synthesis.prompts", what, f"give a folder, or one of {', '.join(prompts.EDITIONS)}"))
        return problems
    return problems + ([] if settings.prompts in prompts.EDITIONS else own_folder.faults(settings.prompts))
