"""PURE: computes the content of probe.json from the items and their scores: figures of reviewers, generators and the
committee, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from gra.model_names import family_of
from gra.synthesis.committee.roles import policy
from gra.synthesis.probe.auc import Estimate, data_of
from gra.synthesis.probe.gate_trust import GateTrust, Judged, gate_trust
from gra.synthesis.probe.items import Item, shown
from gra.synthesis.probe.model_comparison import error_correlations, generators, independent, preference, severity
from gra.synthesis.probe.prevalence import Trust, share_right, share_right_of_taken
from gra.synthesis.probe.reviewer import Reviewer, assess
from gra.synthesis.scoring.calibration import apply
from gra.synthesis.settings import SynthesisSettings

COMMON = 0.8  # errors are called common if n reviewers are worth fewer than this share of n independent reviewers
# Version of probe.json. Since version 2 severity is above 0 for harsh reviewers, and `constant` is rounded to 0.01.
FORMAT = 2


@dataclass(frozen=True)
class Qualification:
    """The result of a probe (a test of the committee). `words`: the verdict on the committee, as sentences. `faults`:
    the reasons not to use this committee in a run. The list is empty if there is no such reason."""

    reviewers: dict[str, Reviewer]
    generators: dict[str, dict[str, Estimate | None]]
    gate: GateTrust | None
    severity: dict[str, Estimate | None]
    preference: dict[str, Estimate | None]
    correlations: dict[tuple[str, str], float]
    independent: float | None
    items: Mapping[str, int]
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def qualify(
    items: Sequence[Item],
    judged: Judged,
    served: Mapping[str, str],
    settings: SynthesisSettings,
    calibrated: bool = False,
) -> Qualification:
    """Return the result of the probe (a test of the committee).

    `judged`: for each model and each item's id, the scores by dimension, or None if the model gave no usable verdict.
    `served`: for each model's name, its hub id or path, from which its model family is inferred. `calibrated`: whether
    the run will map scores with this probe's calibration. If so, the test of the gate (the committee's decision) uses
    mapped scores.
    """
    models = list(served)
    own = not policy(settings).distinct
    reviewers = {
        model: assess(model, items, judged[model], settings.tau, own, len(judged), calibrated) for model in judged
    }
    table = {
        model: {item: fmean(scores.values()) for item, scores in given.items() if scores is not None}
        for model, given in judged.items()
    }
    families = {model: family_of(name) for model, name in served.items()}
    basis = [item for item in items if item.author is not None] or list(items)
    correlations = error_correlations(basis, table)
    mapped = _mapped(judged, reviewers) if calibrated else judged
    found = Qualification(
        reviewers,
        generators(items),
        gate_trust(items, mapped, models, settings),
        {model: severity(model, table) for model in table},
        {model: preference(model, items, table, families) for model in table},
        correlations,
        independent(len({name for pair in correlations for name in pair}), list(correlations.values())),
        shown(items),
    )
    found.faults.extend(_faults(found, settings))
    found.words.extend(_in_words(found))
    return found


def data(found: Qualification) -> dict[str, Any]:
    """Return the content of probe.json. For each model it has the fields of the class `Reviewer`, and three values from
    model_comparison.py: `severity`, `preference` and `own_share_right` (the proportion of its own answers that are
    right). Each estimate has the form {value, low, high, n}, with a 95 % interval from `low` to `high`. An estimate
    that is undefined is None."""
    gate = found.gate
    return {
        "version": FORMAT,
        "faults": found.faults,
        "words": found.words,
        "items": dict(found.items),
        "models": {
            model: {
                **reviewer.data(),
                "severity": data_of(found.severity.get(model)),
                "preference": data_of(found.preference.get(model)),
                "own_share_right": {name: data_of(share) for name, share in found.generators.get(model, {}).items()},
            }
            for model, reviewer in found.reviewers.items()
        },
        "error_correlations": {" / ".join(pair): round(rho, 4) for pair, rho in found.correlations.items()},
        "independent_reviewers": None if found.independent is None else round(found.independent, 2),
        "gate": None
        if gate is None
        else {
            "sensitivity": data_of(gate.sens),
            "specificity": data_of(gate.spec),
            "on_policy": gate.on_policy,
            "taken": round(gate.taken, 4),
            "right_of_taken": data_of(gate.right_of_taken),
            "independent_items": [round(trust.n, 2) for trust in gate.trusted],
        },
    }


def right_of_accepted(probe: Mapping[str, Any], accepted: int, reviewed: int) -> dict[str, Any] | None:
    """Return the estimated proportions of right samples among the reviewed and among the accepted samples of a finished
    run, with intervals. Return None if the probe did not measure the gate (the committee's decision), or if nothing was
    reviewed.

    `probe`: the content of probe.json. `accepted`, `reviewed`: how many samples the run accepted and how many it
    reviewed.

    The value `basis` of the result says on which answers the probe measured the gate: on answers that the pool's models
    wrote ("on-policy"), or on right answers from the data and wrong answers that a rule made from right ones
    ("rule-made"). In the second case the estimate is optimistic. A proportion is None if the gate separates right from
    wrong no better than chance.
    """
    gate = probe.get("gate")
    if gate is None or reviewed <= 0:
        return None
    pairs = zip(("sensitivity", "specificity"), gate["independent_items"], strict=True)
    sens, spec = (Trust(gate[name]["value"], n) for name, n in pairs)
    return {
        "reviewed": reviewed,
        "accepted": accepted,
        "basis": "on-policy" if gate["on_policy"] else "rule-made",
        "right_of_reviewed": data_of(share_right(accepted, reviewed, sens, spec)),
        "right_of_accepted": data_of(share_right_of_taken(accepted, reviewed, sens, spec)),
    }


def best_generator(found: Qualification) -> tuple[str, Estimate] | None:
    """Return the model whose own answers are right most often, and the proportion of them that is right. Return None if
    this is known for no model."""
    known = [(name, share) for name, by in found.generators.items() if (share := by["all"]) is not None]
    return max(known, key=lambda pair: pair[1].value, default=None)


def _mapped(judged: Judged, reviewers: Mapping[str, Reviewer]) -> Judged:
    """Return the judged scores on the common scale. The scores of a reviewer without a map stay as they are."""
    return {
        model: {
            item: scores
            if scores is None or (knots := reviewers[model].calibration) is None
            else {"overall": apply(knots, fmean(scores.values()))}
            for item, scores in given.items()
        }
        for model, given in judged.items()
    }


def _faults(found: Qualification, settings: SynthesisSettings) -> list[str]:
    if not settings.review or not found.reviewers:
        return []
    faults = []
    if not any(reviewer.above_chance for reviewer in found.reviewers.values()):
        faults.append(
            "no model of the pool tells right from wrong better than chance: acceptance would be decided by chance"
        )
    gate = found.gate
    if gate is not None and gate.taken == 0:
        faults.append(
            f"the gate accepted none of the probe's answers: with tau={settings.tau:g} no sample would be kept"
        )
    elif gate is not None and gate.sens.value + gate.spec.value <= 1:
        faults.append(
            f"the gate accepts wrong answers ({1 - gate.spec.value:.0%}) at least as often as right ones "
            f"({gate.sens.value:.0%})"
        )
    return faults


def _in_words(found: Qualification) -> list[str]:
    words = [sentence for reviewer in found.reviewers.values() for sentence in reviewer.words]
    if found.independent is not None and len(found.reviewers) > 1:
        common = found.independent < COMMON * len(found.reviewers)
        why = "make errors in common: they" if common else "err nearly independently: they"
        worth = f"about {found.independent:.1f} independent reviewers"
        words.append(f"The {len(found.reviewers)} reviewers {why} are worth {worth}.")
    words += [
        f"{model} scores its own family {gap.value:+.1f} points higher than others do [{gap.low:+.1f}, {gap.high:+.1f}]."
        for model, gap in found.preference.items()
        if gap is not None and gap.low > 0.25
    ]
    gate = found.gate
    if gate is not None:
        of = "answers of the pool's models" if gate.on_policy else "rule-made answers (an optimistic figure)"
        words.append(
            f"The gate accepts {gate.sens.value:.0%} of the right and {1 - gate.spec.value:.0%} of the wrong {of}."
        )
        if gate.right_of_taken is not None and gate.on_policy:
            words.append(f"Of the accepted answers, {_percent(gate.right_of_taken)} are right.")
    best = best_generator(found)
    if best is not None:
        words.append(f"{best[0]} alone, without review, is right in {_percent(best[1])} of its answers.")
    taken = gate.right_of_taken if gate is not None and gate.on_policy else None
    if best is not None and taken is not None and taken.value <= best[1].value:
        words.append(
            f"So {best[0]} alone gives samples at least as good as the committee's: review is not worth its cost here."
        )
    return words


def _percent(found: Estimate) -> str:
    return f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]"
