"""Formats the result of a probe: probe.md with all figures, and the shorter probe.txt for a terminal. Both contain
names and numbers, but no text that a model wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gra.synthesis.output.card import plain
from gra.wellformed import printable

_ROWS = (
    ("usable", "usable reviews"),
    ("auc", "AUC, verdict"),
    ("sensitivity", "right answers at tau or above"),
    ("specificity", "wrong answers below tau"),
)


def table(probe: Mapping[str, Any], tau: float) -> str:
    """Return a Markdown table with one column per model."""
    models: Mapping[str, Any] = probe["models"]
    lines = [f"| | {' | '.join(plain(model) for model in models)} |", "| --- |" + " ---: |" * len(models)]

    def row(label: str, cells: list[str]) -> None:
        if any(cell != "-" for cell in cells):
            lines.append(f"| {label} | {' | '.join(cells)} |")

    for key, label in _ROWS:
        row(label.replace("tau", f"{tau:g}"), [_cell(model[key]) for model in models.values()])
    for name in _names(models, "auc_by"):
        row(f"AUC, {plain(name)}", [_cell(model["auc_by"].get(name)) for model in models.values()])
    for name in _names(models, "false_accepts"):
        row(
            f"{plain(name)} answers at {tau:g} or above",
            [_cell(model["false_accepts"].get(name)) for model in models.values()],
        )
    for key, label in (
        ("mean", "mean score"),
        ("sd", "sd"),
        ("constant", "share of its most frequent score"),
        ("equal", "share of reviews with equal scores"),
        ("ends", "share of scores at the ends"),
    ):
        row(label, [_number(model["scale"][key]) for model in models.values()])
    row("severity (points below other models)", [_signed(model["severity"]) for model in models.values()])
    row("preference for its own family (points)", [_signed(model["preference"]) for model in models.values()])
    for name in _names(models, "own_share_right"):
        label = "its own answers right" + ("" if name == "all" else f", {plain(name)}")
        row(label, [_cell(model["own_share_right"].get(name)) for model in models.values()])
    row("tokens/s out", [_number(model.get("tokens_per_s")) for model in models.values()])
    return "\n".join(lines)


def text(probe: Mapping[str, Any], tau: float) -> str:
    """Return the content of probe.md: the table, then the verdict in words."""
    found = [table(probe, tau)] if probe["models"] else []
    found.append("\n".join(f"- {_plain(sentence)}" for sentence in probe["words"]) or "- No calls were made.")
    if probe["faults"]:
        found.append("\n".join(f"> **{_plain(fault)}**" for fault in probe["faults"]))
    counts = ", ".join(f"{count} {kind}" for kind, count in probe["items"].items())
    raw = " Scores are as the models gave them, before their calibration." if probe.get("calibrate") == "probe" else ""
    return "\n\n".join([*found, f"Items: {counts or 'none'}. In brackets: 95 % intervals over questions.{raw}"]) + "\n"


def brief(probe: Mapping[str, Any], tau: float) -> str:
    """Return the content of probe.txt: the main figures, with one line per model, then the verdict in words."""
    if not probe["models"]:
        return "no calls were made (synthesis.probe=off, the default for simulated pools)\n"
    lines = []
    if probe.get("simulated"):
        lines.append("SIMULATED: made by simulated models, or on seeds of a simulated world")
    at = f"{tau:g}"
    heads = (
        "model",
        "usable",
        "AUC, rule-made",
        "AUC, on-policy",
        f"right >= {at}",
        f"wrong >= {at}",
        "severity",
        "own right",
    )
    rows = [heads]
    for name, model in probe["models"].items():
        wrong = model["specificity"]
        given = (
            None if wrong is None else {"value": 1 - wrong["value"], "low": 1 - wrong["high"], "high": 1 - wrong["low"]}
        )
        rows.append(
            (
                printable(name),
                _share(model["usable"]),
                _cell(model["auc_by"].get("rule-made")),
                _cell(model["auc_by"].get("on-policy")),
                _cell(model["sensitivity"]),
                _cell(given),
                _signed(model["severity"]),
                _cell(model["own_share_right"].get("all")),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *(printable(sentence) for sentence in probe["words"])]
    lines += [f"WARNING: {printable(fault)}" for fault in probe["faults"]]
    return "\n".join(lines) + "\n"


def _plain(sentence: str) -> str:
    """Return a sentence that this package wrote, escaped for Markdown, because it can contain names of models."""
    return plain(sentence, 400).replace("\\[", "[").replace("\\]", "]")


def _share(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else f"{found['value']:.0%}"


def _names(models: Mapping[str, Any], key: str) -> list[str]:
    return list(dict.fromkeys(name for model in models.values() for name in model[key]))


def _cell(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _signed(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else f"{found['value']:+.1f} [{found['low']:+.1f}, {found['high']:+.1f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
