"""Builds the report's section on the committee: figures, health, funnels, score histograms, calls and tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gra.compare.arms import Arm
from gra.compare.reading import data
from gra.compare.report import charts, funnel, health, judgements, score_shapes
from gra.compare.tables import numbers
from gra.compare.tables.rows import Comparison


def committee(
    comparison: Comparison, groups: Mapping[str, Sequence[Arm]], tau: float | None, delta: float | None
) -> dict[str, Any] | None:
    """Return the content of the report's section on the committee. A funnel is a list of the synthesis's stages with
    the number of generated samples (proposals) that passed each stage. Return None if no arm has a funnel.

    The section shows the funnels and warnings of all arms. Everything else (e.g. score histograms, agreement between
    reviewers, costs) describes only the data of the reference arm.
    """
    order = [comparison.reference, *(name for name in groups if name != comparison.reference)]
    funnels = [
        (groups[name][0].label, found) for name in order if (found := funnel.funnel(groups[name][0])) is not None
    ]
    if not funnels:
        return None
    arm = groups[comparison.reference][0]
    single = judgements.judged(arm)
    stats = data.read_object(arm.file("data", "stats.json")) or {}
    reviewed = funnel.reviewed(stats)
    return {
        "funnels": funnels,
        "figures": _figures(stats, reviewed),
        "charts": _histograms(arm, tau, delta),
        "health": health.health(stats.get("health")),
        "rounds": _rounds(stats.get("rounds"), reviewed),
        "reviewed": reviewed,
        "shapes": _shapes(single, tau),
        "agreement": judgements.agreement(single),
        "preferences": judgements.preferences(single),
        "domains": judgements.domains(single),
        "warnings": _warnings(groups),
        "costs": _costs(stats.get("tokens")),
        "probe": _probe(stats.get("probe")),
    }


ROUND = {  # heading -> key of a round's statistics, and whether it is a verdict of the committee
    "Proposals": ("proposals", False),
    "Instruction refused": ("instruction_rejected", True),
    "Accepted": ("accepted", True),
    "Duplicates": ("duplicates", False),
    "Contaminated": ("contaminated", False),
    "Kept": ("kept", False),
}


def _rounds(rounds: Any, reviewed: bool) -> dict[str, Any] | None:
    """The funnel of each round: headings, and (cells, keep rate) per round. None for a single round, because the funnel
    of all rounds shows it already."""
    if not isinstance(rounds, list) or len(rounds) < 2:
        return None
    shown = {heading: key for heading, (key, verdict) in ROUND.items() if reviewed or not verdict}
    lines = []
    for place, one in enumerate(entry for entry in rounds if isinstance(entry, Mapping)):
        values = {key: one.get(key) if isinstance(one.get(key), int | float) else None for key in shown.values()}
        proposals, kept = values["proposals"], values["kept"]
        rate = kept / proposals if proposals and kept is not None else None
        cells = (str(one.get("round", place + 1)), *map(numbers.count, values.values()), numbers.percent(rate))
        lines.append((cells, rate or 0.0))
    return {"headings": ("Round", *shown, "Kept, %"), "lines": lines}


def _warnings(groups: Mapping[str, Sequence[Arm]]) -> list[tuple[str, str]]:
    """(arm, warning about its committee), each once."""
    found: dict[tuple[str, str], None] = {}
    for group in groups.values():
        for arm in group:
            stats = data.read_object(arm.file("data", "stats.json")) or {}
            said = health.health(stats.get("health"))
            found |= dict.fromkeys((arm.label, words) for words in (said.warnings if said is not None else ()))
    return list(found)


def _probe(said: Any) -> str:
    """The probe's sentence on the accepted samples; empty where there was no probe."""
    words = said.get("words") if isinstance(said, dict) else None
    return words if isinstance(words, str) else ""


def _figures(stats: Mapping[str, Any], reviewed: bool) -> list[tuple[str, str]]:
    """The committee's key figures; "-" for what is not known."""

    def number(key: str) -> float | None:
        value = stats.get(key)
        return value if isinstance(value, int | float) else None

    kept, proposals = number("kept"), number("proposals")
    alpha = number("krippendorff_alpha")
    share = kept / proposals if kept is not None and proposals else None
    found = [
        ("samples kept", numbers.count(kept)),
        ("of all proposals", f"{numbers.percent(share)} %" if share is not None else numbers.MISSING),
        ("calls to models", numbers.count(number("calls"))),
    ]
    if not reviewed:
        return found
    return [
        *found,
        ("missing verdicts", numbers.count(number("missing_verdicts"))),
        (
            "reviewers agree (std within delta)",
            f"{numbers.percent(s)} %" if (s := number("low_std_share")) is not None else "-",
        ),
        ("Krippendorff's alpha", f"{alpha:.2f}" if alpha is not None else numbers.MISSING),
    ]


def _histograms(arm: Arm, tau: float | None, delta: float | None) -> list[tuple[Markup, str]]:
    """Histograms of mean score and disagreement, kept against not kept; [] where nothing was reviewed."""
    paths = (arm.file("data", "data", "train.parquet"), arm.file("data", "rejected.parquet"))
    tables = [data.read_table(path, ["mean", "std"]) for path in paths]
    values = [
        [
            [v for v in t[key].to_pylist() if v is not None] if t is not None and key in t.column_names else []
            for t in tables
        ]
        for key in ("mean", "std")
    ]
    (mean_kept, mean_lost), (std_kept, std_lost) = values
    found = []
    if mean_kept or mean_lost:
        edges = [i / 2 for i in range(21)]
        mark = charts.histogram(
            mean_kept, mean_lost, edges=edges, mark=tau, mark_name=f"tau = {tau}", axis="mean score of the reviewers"
        )
        found.append((mark, f"{len(mean_kept) + len(mean_lost):,} reviewed samples, mean of the reviewers' scores."))
    if any([*std_kept, *std_lost]):  # all zero with one reviewer per sample
        edges = [i / 4 for i in range(max(13, math.ceil(4 * max([*std_kept, *std_lost])) + 1))]
        mark = charts.histogram(
            std_kept,
            std_lost,
            edges=edges,
            mark=delta,
            mark_name=f"delta = {delta}",
            axis="disagreement (standard deviation)",
        )
        found.append(
            (mark, f"{len(std_kept) + len(std_lost):,} samples with enough reviews, standard deviation of the scores.")
        )
    return found


def _shapes(found: Sequence[judgements.Judged], tau: float | None) -> dict[str, Any] | None:
    """The committee's scores beside each reviewer's: a chart, its legend, lines of a table, a sentence. None for fewer
    than two reviewers."""
    shown = score_shapes.shapes(found, tau)[: 1 + judgements.MOST_MODELS]
    if not shown:
        return None
    return {
        "chart": score_shapes.chart(shown, tau),
        "legend": [(one.name, charts.series(index)) for index, one in enumerate(shown)],
        "lines": [score_shapes.cells(one) for one in shown],
        "agreeing": score_shapes.sentence(found),
    }


def _costs(tokens: Any) -> list[tuple[str, ...]]:
    if not isinstance(tokens, Mapping):
        return []
    return [
        (model, role, *(numbers.count(use.get(key)) for key in ("calls", "in", "out")))
        for model, roles in sorted(tokens.items())
        for role, use in sorted(roles.items())
    ]
