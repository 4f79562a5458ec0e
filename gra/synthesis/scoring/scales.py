"""Calibrates the scores of reviews (synthesis.calibrate=probe), so that all judges use a common scale. Each judge has a
calibration map, a piecewise linear function from its own scores to the common scale. A probe computed the map's points
(knots) and wrote them to probe.json. The map is applied before the score is compared with the threshold tau.

A calibrated review has one score, `overall`; its attribute `raw` keeps the scores that the model gave. A model has no
map if the probe had too few items for it. Its scores stay unchanged, and the log and stats.json (`calibration`) name
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from gra.errors import ConfigError, Problem, StoreError, parts_of
from gra.models.parsed_pool import ParsedPool
from gra.synthesis.committee.records import Review
from gra.synthesis.committee.roles import judges
from gra.synthesis.probe.after_run import RESULT, read_probe
from gra.synthesis.probe.settings import mode
from gra.synthesis.scoring.calibration import Knots, apply
from gra.synthesis.settings import SynthesisSettings

KEY = "synthesis.calibrate"
Scales = Mapping[str, Knots]  # model -> its map


def calibrated(review: Review, scales: Scales) -> Review:
    """Return the review with its score mapped to the common scale, on which the scores of different models are
    comparable. `scales`: the calibration map of each model. If the review has no scores, or if there is no map for its
    model, the review is returned unchanged."""
    knots = scales.get(review.model)
    if knots is None or review.scores is None:
        return review
    return replace(review, scores={"overall": apply(knots, fmean(review.scores.values()))}, raw=review.scores)


def as_given(review: Review) -> Review:
    """Return the review with the scores that the model gave, before calibration."""
    return review if review.raw is None else replace(review, scores=review.raw, raw=None)


def scales_for(settings: SynthesisSettings, models: Sequence[str], folder: Path | None) -> Scales:
    """Return the calibration maps of the models that judge, as {model: map}. They are read from the probe in `folder`.
    A model for which the probe has no map is left out. If calibration is off, the result is {}.

    Raises ConfigError if there is no probe, if the probe does not fit this run, or if it has no map for any judge.
    Raises StoreError if the probe cannot be read.
    """
    if settings.calibrate == "none" or not settings.review:
        return {}
    found = read_probe(folder)
    if found is None or folder is None:
        raise ConfigError([_none()])
    probed, needed = (
        _form(found.get("scoring", "text"), found.get("questions")),
        _form(settings.scoring, settings.questions),
    )
    if probed != needed:
        remedy = "run the probe with the settings of the run's synthesis, or set synthesis.calibrate=none"
        raise ConfigError([Problem(KEY, f"{folder} is a probe with {probed}, but the run has {needed}", remedy)])
    entries, judging = found["models"], judges(models, settings)
    given = {name: (entries.get(name) or {}).get("calibration") for name in judging}
    scales = {name: _knots(folder, name, knots) for name, knots in given.items() if knots}
    if not scales:
        message = f"{folder} has no map for any of the models that judge ({', '.join(judging)})"
        remedy = "probe these models with more calls (probe.calls), or set synthesis.calibrate=none"
        raise ConfigError([Problem(KEY, message, remedy)])
    return scales


def problems(settings: SynthesisSettings, pool: ParsedPool, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return the faults of synthesis.calibrate=probe that can be found before the run starts."""
    if settings.calibrate == "none" or not settings.review:
        return []
    if "probe" in inputs and inputs["probe"] is None:  # a step of the chain that has not run yet
        off = Problem(KEY, "needs a probe, which is off", "set synthesis.probe=warn, or synthesis.calibrate=none")
        return [off] if mode(settings, simulated=pool.settings.simulated) == "off" else []
    try:
        scales_for(settings, pool.names, inputs.get("probe"))
    except ConfigError as error:
        return list(error.problems)
    except StoreError as error:
        message, remedy = parts_of(error)
        return [Problem(KEY, message, remedy)]
    return []


def account(settings: SynthesisSettings, models: Sequence[str], scales: Scales) -> dict[str, list[str]] | None:
    """Return the entry `calibration` of stats.json. It lists the models with calibrated scores, and the judges (models
    that score) that have no calibration map. Return None if calibration is off."""
    if settings.calibrate == "none" or not settings.review:
        return None
    return {
        "calibrated": sorted(scales),
        "without_map": [name for name in judges(models, settings) if name not in scales],
    }


def _form(scoring: str, questions: str | None) -> str:
    return f"synthesis.scoring={scoring}" + (f" and questions={questions}" if scoring == "probability" else "")


def _none() -> Problem:
    remedy = (
        "run `gra probe` with the same pool, seeds and synthesis, then give inputs.probe=DIR; in an experiment, add a step `probe` "
        "as in conf/experiment/my_seeds.yaml"
    )
    return Problem(KEY, "needs the maps of a probe, but there is no result of a probe (inputs.probe)", remedy)


def _knots(folder: Path, name: str, value: Any) -> Knots:
    """Return the knots `value` if they are valid. Raises StoreError if they are not."""
    pairs: list[Any] = value if isinstance(value, list) else [value]
    whole = all(isinstance(pair, list) and len(pair) == 2 and all(map(_finite, pair)) for pair in pairs)
    ascending = whole and all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(pairs))
    if not ascending or not 0 <= pairs[0][1] <= pairs[-1][1] <= 10:
        message = f"{folder / RESULT}: the calibration of `{name}` is not a list of ascending pairs within 0 to 10"
        raise StoreError(f"{message}\n    -> run the probe again")
    return pairs


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
