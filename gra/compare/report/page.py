"""Renders the report: one self-contained HTML file that sends no request anywhere.

Models' texts are hostile input: the template escapes everything, and a content security policy allows only the file's
own script. The same folders give the same bytes: the file holds no time, host or absolute path.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from gra import secret_patterns
from gra.compare.arms import Arm, by_name
from gra.compare.coverage.words import HEADINGS as COVERAGE_HEADINGS
from gra.compare.reading import data
from gra.compare.report import (
    browse,
    charts,
    committee,
    funnel,
    headline,
    health,
    intervals_plot,
    judgements,
    probe,
    score_shapes,
)
from gra.compare.report.coverage import Seeds, coverage
from gra.compare.report.samples import Judge, pack
from gra.compare.tables import table
from gra.compare.tables.rows import Comparison

_HERE = Path(__file__).parent
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # not allowed in HTML or in UTF-8
CONFIG_CAP, CONFIGS_CAP = 20_000, 600_000  # most characters of one config, and of all configs together


def render(
    comparison: Comparison,
    arms: Sequence[Arm],
    samples: int | None,
    judge: Judge | None = None,
    *,
    draw: bool = False,
    seeds: Seeds | None = None,
) -> str:
    """Return the whole report as HTML. An arm may lack some of the folders data, audit, model and scores. A single data
    folder is enough.

    `samples`: the maximum number of samples in the page. None means as many as fit. `judge`: a function that says
    whether a simulated response is right. It is called only if the reference arm is simulated and its data were not
    audited. `draw`: whether to draw a map of the instructions, which takes time because their embeddings are computed.
    `seeds`: a function that finds the seed samples from which an arm's data were made. The map also shows these seed
    samples.

    Raises StoreError or EvalError if a folder of `arms` is broken.
    """
    css, js = (_HERE / "report.css").read_text(encoding="utf-8"), (_HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()
    groups = by_name(arms)
    shown = groups[comparison.reference][0]
    tau, delta = judgements.gate(shown)
    reference = next(row for row in comparison.rows if row.reference)
    page = _template().render(
        comparison=comparison,
        t=table,
        lead=_lead(comparison, groups),
        task_names=table.names(comparison.tasks),
        breakable=breakable,
        notes=table.notes(comparison),
        items=sum(cell.n for cell in reference.cells.values()),
        level=f"{100 * comparison.level:g}",
        means=intervals_plot.means(comparison),
        differences=intervals_plot.differences(comparison),
        cost=_cost(comparison),
        by_task=_by_task(comparison),
        reference_label=reference.label,
        probe=probe.probe(probed) if (probed := data.read_object(shown.file("probe", "probe.json"))) else None,
        probe_headings=probe.HEADINGS,
        committee=committee.committee(comparison, groups, tau, delta),
        coverage=coverage(groups, comparison.reference, draw, seeds),
        coverage_headings=COVERAGE_HEADINGS,
        curves=_curves(groups),
        trainings=_trainings(arms),
        samples=pack(shown, samples, judge if shown.simulated else None),
        browser=json.dumps({"words": funnel.WORDS, "dimensions": browse.DIMENSIONS, "tau": tau, "delta": delta}),
        health_headings=health.HEADINGS,
        set_headings=health.SET_HEADINGS,
        shape_headings=score_shapes.HEADINGS,
        least=judgements.LEAST,
        provenance=_provenance(arms),
        configs=_configs(arms),
        versions=_versions(arms),
        css=Markup(css),
        js=Markup(js),
        script_hash=f"sha256-{digest}",
    )
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", page) + "\n"


@lru_cache(1)
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["safe_json"] = _safe_json
    return environment.get_template("report.html.jinja")


def _safe_json(text: str) -> Markup:
    """JSON for a script element: no `<` in it can end the element."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _lead(comparison: Comparison, groups: Mapping[str, Sequence[Arm]]) -> list[str]:
    """The sentences that the report opens with: on the comparison or, if nothing is compared, on the reference's
    folders."""
    if said := headline.of_comparison(comparison):
        return said
    arm = groups[comparison.reference][0]
    reference = next(row for row in comparison.rows if row.reference)
    found = [
        data.read_object(arm.file(step, name)) or {} for step, name in (("data", "stats.json"), ("audit", "audit.json"))
    ]
    if not any(found) and (probed := data.read_object(arm.file("probe", "probe.json"))):
        return headline.of_probe(probed)
    metrics = arm.manifests.get("model", {}).get("metrics") or {}
    return [
        *headline.of_scores(reference, len(comparison.tasks), comparison.level),
        *headline.of_data(*found),
        *headline.of_training(data.learning_curve(arm), metrics),
    ]


def breakable(name: str) -> Markup:
    """Return a benchmark's name as HTML in which a line can break after an underscore."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def _by_task(comparison: Comparison) -> list[dict[str, Any]]:
    """For each evaluated arm, its label and a line per benchmark: the benchmark's name and its cells
    (table.task_cells)."""
    shown = table.names(comparison.tasks)
    return [
        {
            "label": table.label(row, comparison),
            "lines": list(
                zip((shown[task] for task in comparison.tasks), table.task_cells(row, comparison.tasks), strict=True)
            ),
        }
        for row in comparison.rows
        if row.cells
    ]


def _cost(comparison: Comparison) -> dict[str, Any] | None:
    """A chart of mean scores over tokens per training sample; None if fewer than two arms have both numbers."""
    points = [
        (table.label(row, comparison), tokens, 100 * row.mean, 100 * row.interval.low, 100 * row.interval.high)
        for row in comparison.rows
        if row.mean is not None
        and row.interval is not None
        and (tokens := row.facts.values["tokens_per_sample"]) is not None
    ]
    if len(points) < 2:
        return None
    chart = charts.scatter(points, axis="tokens for a training sample, all calls", value="Mean score")
    return {"chart": chart, "legend": [(name, charts.series(index)) for index, (name, *_) in enumerate(points)]}


# -- training ---------------------------------------------------------------------------------------------------------


def _curves(groups: Mapping[str, Sequence[Arm]]) -> dict[str, Any] | None:
    """The learning curves of all arms in one chart; replicates are averaged at the steps that all of them logged."""
    averaged = [
        (group[0].label, _average([curve for arm in group if (curve := data.learning_curve(arm))]))
        for group in groups.values()
    ]
    drawn = [(label, curve) for label, curve in averaged if curve]
    if not drawn:
        return None
    window = min(51, min(len(curve) for _, curve in drawn) // 20) // 2 * 2 + 1
    lines = [(label, charts.smooth(curve, window)) for label, curve in drawn]
    caption = "Training loss by optimiser step, "
    caption += f"smoothed by a centred moving average over {window} logged steps." if window > 1 else "not smoothed."
    if any(len(group) > 1 for group in groups.values()):
        caption += " Replicates are averaged."
    if missing := [label for label, curve in averaged if not curve]:
        caption += f" No log: {', '.join(missing)}."
    return {
        "chart": charts.curves(lines, axis="step", value="Training loss"),
        "caption": caption,
        "legend": [(label, charts.series(index)) for index, (label, _) in enumerate(lines)],
    }


def _average(curves: Sequence[charts.Curve]) -> list[tuple[float, float]]:
    if not curves:
        return []
    by_step = [dict(curve) for curve in curves]
    shared = sorted(set(by_step[0]).intersection(*by_step[1:]))
    return [(step, sum(one[step] for one in by_step) / len(by_step)) for step in shared]


METRICS = 12  # most metrics shown of one training


def _trainings(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """(arm, its final numbers) of every training."""
    found = []
    for arm in arms:
        metrics = arm.manifests.get("model", {}).get("metrics")
        if "model" in arm.folders and isinstance(metrics, Mapping):
            shown = list(metrics.items())[:METRICS]
            found.append((arm.where, ", ".join(f"{name} {value:g}" for name, value in shown)))
    return found


# -- provenance -------------------------------------------------------------------------------------------------------


def _provenance(arms: Sequence[Arm]) -> list[dict[str, str]]:
    lines = []
    for arm in arms:
        for step, folder in arm.folders.items():
            manifest = arm.manifests.get(step, {})
            git = manifest.get("git") or {}
            commit = f"{str(git.get('commit', '-'))[:12]}{' + changes' if git.get('dirty') else ''}"
            where = arm.label if arm.replicate is None else f"{arm.label}, replicate {arm.replicate}"
            identity = str(manifest.get("hash", "-"))[:16]
            lines.append({"arm": where, "step": step, "folder": _name(folder), "hash": identity, "commit": commit})
    return lines


def _name(folder: Path) -> str:
    return folder.name.removesuffix(".partial")  # a stage writes its report before its folder gets its final name


def _configs(arms: Sequence[Arm]) -> list[dict[str, str]]:
    """The config of every folder, each folder once."""
    found: dict[str, str] = {}
    for arm in arms:
        for step, folder in arm.folders.items():
            config = arm.manifests.get(step, {}).get("config")
            if config is not None:
                text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False, default=str)
                found.setdefault(_name(folder), secret_patterns.without_user(text)[:CONFIG_CAP])
    left, shown = CONFIGS_CAP, []
    for name, text in found.items():
        left -= len(text)
        shown.append(
            {"folder": name, "text": text if left >= 0 else "left out of this page: see the folder's manifest.json"}
        )
    return shown


def _versions(arms: Sequence[Arm]) -> str:
    """Library versions over all manifests; different versions of a library are all listed."""
    seen: dict[str, set[str]] = {}
    for arm in arms:
        for manifest in arm.manifests.values():
            versions = manifest.get("versions")
            for name, version in (versions if isinstance(versions, Mapping) else {}).items():
                if version is not None:
                    seen.setdefault(str(name), set()).add(str(version))
    return ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in sorted(seen.items()))
