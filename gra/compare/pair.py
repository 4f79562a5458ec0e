"""Compares two evaluated runs item by item: `gra compare FOLDER FOLDER`, each a scores folder (scores.json, samples.parquet).

gra compare runs/store/eval/A runs/store/eval/B
gra compare A B --items-only             # with p-values, for just these two models
gra compare A B --json > difference.json

Comparisons of more than two runs, of named runs, or with further flags (--paper, --contrast, --format ...): several.py.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare import several
from gra.compare.options import Options, enough
from gra.compare.reading.folders import load
from gra.compare.reading.scores import KINDS, Scores, conditions_differ, outcomes
from gra.compare.statistics.bootstrap import Difference, Level, Range, level_of, paired_bootstrap
from gra.compare.statistics.item_scores import Outcomes
from gra.compare.statistics.multiple_testing import holm
from gra.compare.statistics.power import detectable
from gra.compare.tables.blocks import Column, blocks
from gra.compare.tables.cautions import cautions
from gra.compare.tables.notes import CLUSTERS, NO_NOISE, few_bits, noise_note
from gra.compare.tables.numbers import interval, percent, points, span
from gra.compare.tables.table import FORM, plain
from gra.errors import ConfigError, EvalError, Problem
from gra.flags import Parser
from gra.labels import simulated
from gra.pipes import json_text
from gra.settings import parse


def main(arguments: Sequence[str]) -> int:
    """Compare two runs and print a table or, with --json, all numbers. Return the exit code. Raises EvalError,
    ConfigError."""
    parser = Parser(
        "gra compare",
        "The difference between evaluated runs, paired by item, with intervals: two folders in detail, or any number as a table.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="[NAME=]FOLDER",
        help="scores folders of gra eval or lm-eval (--log_samples) with the same items; folders of one NAME are training "
        "runs of one arm",
    )
    parser.add_argument("--json", action="store_true", help="print all numbers in full precision (two folders)")
    several.add_flags(parser)
    parser.add_argument(
        "--items-only",
        action="store_true",
        help="print p-values that treat only the choice of items as random; they apply to these two models only",
    )
    defaults = Options.model_fields
    for name, kind in (("resamples", int), ("level", float), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, default=defaults[name].default, help=defaults[name].description)
    given = parser.parse_intermixed_args(arguments)
    options, problems = parse(Options, {name: getattr(given, name) for name in ("resamples", "level", "seed")}, "")
    if options is None:
        raise ConfigError(problems)
    if several.asked(given):
        if given.json:
            remedy = "use --format csv for a table of several runs"
            raise ConfigError([Problem("--json", "it shows the difference between two unnamed folders alone", remedy)])
        several.run(given, options)
        return 0
    first, second = map(Path, given.folders)
    runs = load(first), load(second)
    found = compare_runs(*runs, options)
    found["items_only"] = given.items_only
    named = {"first": str(first), "second": str(second)} | found
    named["simulated_runs"] = [
        run.simulated or simulated([path]) for run, path in zip(runs, (first, second), strict=True)
    ]
    named["simulated"] = any(named["simulated_runs"])
    print(json_text(named) + "\n" if given.json else terminal(named, options.width), end="")
    return 0


def compare_runs(first: Scores, second: Scores, options: Options) -> dict[str, Any]:
    """Return the scores of two runs on the benchmarks that both have, and the differences (first minus second).

    The result can be written as JSON. It has the keys `mean` (all benchmarks), `groups` (one entry per group of
    benchmarks) and `tasks` (one entry per benchmark). For each kind of score (see scores.KINDS), an entry holds a
    mapping with the values below. If a benchmark lacks a kind of score, the mapping is None for this benchmark and for
    each mean that includes this benchmark.

    `first`, `second`, `difference`: each is [value, low, high].
    `p`: the p-value of the difference.
    `p_holm`: the p-value after Holm's correction over all benchmarks (only in `tasks`).

    The intervals and p-values treat only the choice of items (questions) as random, so they hold for just these two
    models. Raises EvalError if the runs share no benchmark or have different items, and ConfigError for too few
    resamples.
    """
    shared = [task for task in first.items if task in second.items]
    if not shared:
        raise EvalError(
            f"The runs share no benchmark: {', '.join(first.items) or 'none'} in the first, {', '.join(second.items) or 'none'} in "
            "the second\n    -> evaluate both on the same suite"
        )
    if problems := enough(options.resamples, len(shared), options.level):
        raise ConfigError(problems)
    groups: dict[str, list[str]] = {}
    for task in shared:
        groups.setdefault(first.tasks[task].group, []).append(task)
    groups = {name: tasks for name, tasks in groups.items() if len(tasks) > 1 and len(tasks) < len(shared)}
    by_kind = {kind: _compared(first, second, shared, groups, kind, options) for kind in KINDS}
    tasks = {task: {kind: found["tasks"].get(task) for kind, found in by_kind.items()} for task in shared}
    strict = by_kind["strict"]
    return {
        "simulated": first.simulated or second.simulated,
        "quantized": [first.quantized, second.quantized],
        "resamples": options.resamples,
        "level": options.level,
        "seed": options.seed,
        "over": "items",
        "clustered": strict["clustered"],
        "asked_unlike": [*conditions_differ([first, second]), *cautions([first, second])],
        "left_out": sorted({*first.tasks, *second.tasks} - set(shared)),
        "mean": {kind: found["mean"] for kind, found in by_kind.items()},
        "groups": {name: {kind: found["groups"].get(name) for kind, found in by_kind.items()} for name in groups},
        "tasks": {
            task: {"n": len(first.items[task].doc_ids), "group": first.tasks[task].group} | kinds
            for task, kinds in tasks.items()
        },
    }


def _compared(
    first: Scores,
    second: Scores,
    shared: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    kind: str,
    options: Options,
) -> dict[str, Any]:
    sides = [_outcomes(run, shared, kind) for run in (first, second)]
    known = [task for task in shared if all(task in side for side in sides)]
    if not known:
        return {"mean": None, "groups": {}, "tasks": {}, "clustered": {}}
    whole = {name: tasks for name, tasks in groups.items() if set(tasks) <= set(known)}
    settings: Any = {"resamples": options.resamples, "seed": options.seed, "level": options.level, "groups": whole}
    one, other = ({task: side[task] for task in known} for side in sides)
    difference = paired_bootstrap(one, other, **settings)
    levels = tuple(level_of(side, **settings, share=kind != "form") for side in (one, other))
    adjusted = holm(difference.family)
    return {
        "mean": _numbers(levels, difference, "mean") if known == list(shared) else None,
        "groups": {name: _numbers(levels, difference, "groups", name) for name in whole},
        "tasks": {task: _numbers(levels, difference, "tasks", task) | {"p_holm": adjusted[task]} for task in known},
        "clustered": difference.clustered,
    }


def _outcomes(run: Scores, tasks: Sequence[str], kind: str) -> dict[str, Outcomes]:
    found = {task: outcomes([run], [0], task, kind, "The run") for task in tasks}
    return {task: one for task, one in found.items() if one is not None}


def _numbers(levels: Sequence[Level], difference: Difference, part: str, name: str | None = None) -> dict[str, Any]:
    first, second, found = (
        getattr(source, part) if name is None else getattr(source, part)[name] for source in (*levels, difference)
    )
    triples = {
        key: [one.value, one.low, one.high]
        for key, one in (("first", first), ("second", second), ("difference", found))
    }
    return triples | {"p": found.p, "detectable": detectable(found, difference.level)}


def terminal(found: Mapping[str, Any], width: int) -> str:
    """Return the comparison as a table for a terminal, with one row per benchmark and group, and one for the mean.

    `width`: the largest number of characters in a line.
    """
    from rich.console import Console
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False
    )
    for letter, name, made_up in zip("AB", (found["first"], found["second"]), found["simulated_runs"], strict=True):
        console.print(Text(plain(f"{letter}: {name}{' (simulated)' if made_up else ''}")))
    several = len(found["tasks"]) > 1
    lines = [*found["tasks"].items(), *((f"({name})", kinds) for name, kinds in found["groups"].items())]
    lines += [("mean", found["mean"])] if several else []
    names: Column = ("Benchmark", [plain(name) for name, _ in lines])
    columns: list[list[Column]] = [[("Items", [f"{kinds['n']:,}" if "n" in kinds else "" for _, kinds in lines])]]
    for kind, words in FORM.items():
        detailed = kind in ("strict", "tolerant")
        columns.append(
            _columns(words, [kinds[kind] for _, kinds in lines], detailed, with_p=detailed and found["items_only"])
        )
    for block in blocks(names, columns, console):
        console.print(block)
    for line in _notes(found):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _columns(words: str, cells: Sequence[Mapping[str, Any] | None], detailed: bool, with_p: bool) -> list[Column]:
    """A, B and A - B of one kind of score; `detailed`: with the intervals of A and B; `with_p`: with p after Holm's correction."""
    shown = span if detailed else lambda one: percent(None if one is None else one.value)
    triples = [
        {key: Range(*cell[key]) if cell else None for key in ("first", "second", "difference")} for cell in cells
    ]
    columns = [
        (f"A {words}", [shown(one["first"]) for one in triples]),
        (f"B {words}", [shown(one["second"]) for one in triples]),
        (f"A - B {words}", [interval(one["difference"]) for one in triples]),
    ]
    if detailed:
        columns.append(
            ("detectable", [points(cell["detectable"]).removeprefix("+") if cell else "-" for cell in cells])
        )
    if with_p:
        columns.append(("p (Holm)", [f"{cell['p_holm']:.4f}" if cell and "p_holm" in cell else "" for cell in cells]))
    return columns


def _notes(found: Mapping[str, Any]) -> list[str]:
    level = found["level"]
    lines = [
        f"Scores are percent, differences are points, with {100 * level:g} % intervals over items, for these two trained models: a "
        f"paired bootstrap over test items with {found['resamples']:,} resamples. {NO_NOISE}",
        *noise_note([Range(*mean["difference"]) if (mean := found["mean"]["strict"]) else None], level),
        "p is also over items, and Holm-adjusted over the benchmarks."
        if found["items_only"]
        else "p-values would be over items only and are left out (--items-only prints them).",
        "Detectable: the smallest true difference at which such an interval excludes 0 four times in five.",
        "Form is strict minus tolerant. A difference in strict scores is the sum of the differences in tolerant scores and form.",
    ]
    if found["clustered"]:
        drawn = ", ".join(f"{task} ({number})" for task, number in found["clustered"].items())
        lines.append(f"{CLUSTERS}: {drawn}.")
    labelled = zip(("A", "B"), found["quantized"], strict=True)
    lines += few_bits([(name, words) for name, words in labelled if words is not None], 2)
    lines += [plain(line) for line in found["asked_unlike"]]
    if found["left_out"]:
        lines.append(f"Not in both runs, so left out of the means: {', '.join(found['left_out'])}.")
    return lines
