"""The scales of a run's reviewers, for synthesis.calibrate=probe: the knots in probe.json, put to each review before the gate.

A calibrated review has one score, `overall`, and keeps what its model gave as `raw`. A model without a map, of which the probe
could say too little, keeps its own scale, and is named in the log and in stats.json (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from gra.errors import ConfigError, Problem, StoreError
from gra.synthesis.committee.after_run import RESULT, read_probe
from gra.synthesis.committee.calibration import Knots, apply
from gra.synthesis.committee.probe_settings import mode
from gra.synthesis.records import Review
from gra.synthesis.roles import judges
from gra.synthesis.settings import SynthesisSettings

KEY = "synthesis.calibrate"
Scales = Mapping[str, Knots]  # by model


def calibrated(review: Review, scales: Scales) -> Review:
    """The review on the common scale; as it is where it is missing, or its model has no map. Pure."""
    knots = scales.get(review.model)
    if knots is None or review.scores is None:
        return review
    return replace(review, scores={"overall": apply(knots, fmean(review.scores.values()))}, raw=review.scores)


def as_given(review: Review) -> Review:
    """The review as its model gave it. Pure."""
    return review if review.raw is None else replace(review, scores=review.raw, raw=None)


def scales_for(settings: SynthesisSettings, models: Sequence[str], folder: Path | None) -> Scales:
    """The maps of those of the pool's `models` that judge, from the probe in `folder`; none where nothing is calibrated. Raises
    ConfigError for a probe that cannot serve this run, StoreError for one that cannot be read."""
    if settings.calibrate == "none" or not settings.review:
        return {}
    found = read_probe(folder)
    if found is None or folder is None:
        raise ConfigError([_none()])
    probed, asked = _form(found.get("scoring", "text"), found.get("questions")), _form(settings.scoring, settings.questions)
    if probed != asked:
        remedy = "probe again with the run's synthesis, or set synthesis.calibrate=none"
        raise ConfigError([Problem(KEY, f"{folder} is a probe with {probed}, and the run has {asked}", remedy)])
    entries, judging = found["models"], judges(models, settings)
    given = {name: (entries.get(name) or {}).get("calibration") for name in judging}
    scales = {name: _knots(folder, name, knots) for name, knots in given.items() if knots}
    if not scales:
        message = f"{folder} has a map for none of the models that judge ({', '.join(judging)})"
        remedy = "probe these models, with more calls (probe.calls), or set synthesis.calibrate=none"
        raise ConfigError([Problem(KEY, message, remedy)])
    return scales


def problems(
    settings: SynthesisSettings, pool: Mapping[str, Any], models: Sequence[str], inputs: Mapping[str, Path | None]
) -> list[Problem]:
    """What stands against synthesis.calibrate=probe, as far as it can be seen before any work."""
    if settings.calibrate == "none" or not settings.review:
        return []
    if "probe" in inputs and inputs["probe"] is None:  # a step of the chain that has not run yet
        off = Problem(KEY, "the probe that it needs is off", "set synthesis.probe=warn, or synthesis.calibrate=none")
        return [off] if mode(settings, pool) == "off" else []
    try:
        scales_for(settings, models, inputs.get("probe"))
    except ConfigError as error:
        return list(error.problems)
    except StoreError as error:
        message, _, remedy = str(error).partition("\n    -> ")
        return [Problem(KEY, message, remedy)]
    return []


def account(settings: SynthesisSettings, models: Sequence[str], scales: Scales) -> dict[str, list[str]] | None:
    """For stats.json: models whose scores are calibrated, and those that judge without a map; None where nothing is calibrated."""
    if settings.calibrate == "none" or not settings.review:
        return None
    return {"calibrated": sorted(scales), "without_map": [name for name in judges(models, settings) if name not in scales]}


def _form(scoring: str, questions: str | None) -> str:
    return f"synthesis.scoring={scoring}" + (f" and questions={questions}" if scoring == "probability" else "")


def _none() -> Problem:
    remedy = (
        "run `gra probe` with the same pool, seeds and synthesis, then give inputs.probe=DIR; in an experiment: a step `probe`, as "
        "in conf/experiment/my_seeds.yaml"
    )
    return Problem(KEY, "there is no result of a probe (inputs.probe), whose maps it needs", remedy)


def _knots(folder: Path, name: str, value: Any) -> Knots:
    """Checked. Raises StoreError."""
    pairs: list[Any] = value if isinstance(value, list) else [value]
    whole = all(isinstance(pair, list) and len(pair) == 2 and all(map(_finite, pair)) for pair in pairs)
    ascending = whole and all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(pairs))
    if not ascending or not 0 <= pairs[0][1] <= pairs[-1][1] <= 10:
        told = f"{folder / RESULT}: the calibration of `{name}` is not a list of ascending pairs within 0 to 10"
        raise StoreError(f"{told}\n    -> run the probe again")
    return pairs


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
