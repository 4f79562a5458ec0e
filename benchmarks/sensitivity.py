"""Where does the committee help, and what decides the order of arms? A grid of simulated worlds, where the truth is known.

    python -m benchmarks.sensitivity --output results/sensitivity      # gate.csv, arms.csv, tables.md, gate.png

1. The gate: share of kept samples that are wrong, over likeness of mistakes x laziness x halo x leniency x breadth.
2. The arms: how many kinds of test items each arm's data covers rightly, over likeness x breadth of the committee x breadth of the
   large model x what the reviewers see. It stands for scores, which would need a training for each cell.

Each cell is run in several worlds (own questions, mistakes and draws); intervals of 95 % are Student's over the worlds. No model is
trained and nothing is downloaded. Everything is *simulated*. `--cover FOLDER ...` measures finished data folders in the same way.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from benchmarks.sensitive_arms import ALONE, COMMITTEE, NO_REVIEW, SMALL, Arm, arm, judged, seed_arm
from gra.fileio import atomic_path, write_text
from gra.simulation.traits import Traits

USUAL = {"greedy_repeats": True, "takes_up": 0.3, "annotator_errors": 0.05}  # as in conf/pool/simulated_alike.yaml
LIKENESS = {  # (correlation of errors, agreement on wrong answers)
    "independent": (0.0, 0.225),
    "alike": (0.4, 0.6),
    "nearly one": (0.8, 0.9),
}
LAZY, HALO, LENIENCY, BREADTH = (0.1, 0.3, 0.6), (1.0, 0.6, 0.2), (0.0, 0.5, 1.0), (0.5, 1.0)
GATES = {"seeing": {"lazy": None, "halo": 0.6}, "half blind": {"lazy": 0.6, "halo": 0.2}}
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run: its place in the grid, and what `arm` needs for it."""

    place: tuple[tuple[str, Any], ...]
    settings: Mapping[str, Any]
    models: tuple[str, ...]
    traits: Traits
    size: int
    world: int


def likeness(name: str) -> dict[str, float]:
    correlation, agreement = LIKENESS[name]
    return {**USUAL, "error_correlation": correlation, "wrong_agreement": agreement}


def gate_cells(size: int, worlds: int) -> list[Cell]:
    """The grid of the gate, with one cell without review for each likeness and breadth."""
    cells = []
    for alike, breadth, world in product(LIKENESS, BREADTH, range(worlds)):
        same = {**likeness(alike), "breadth": breadth}
        at = (("likeness", alike), ("breadth", breadth))
        cells.append(Cell((("arm", "no review"), *at), NO_REVIEW, SMALL, Traits.model_validate(same), size, world))
        for lazy, halo, leniency in product(LAZY, HALO, LENIENCY):
            traits = Traits.model_validate({**same, "lazy": lazy, "halo": halo, "leniency": leniency})
            place = (("arm", "GRA"), *at, ("lazy", lazy), ("halo", halo), ("leniency", leniency))
            cells.append(Cell(place, COMMITTEE, SMALL, traits, size, world))
    return cells


def arm_cells(size: int, worlds: int) -> list[Cell]:
    """The arms; each runs once for the settings that it depends on."""
    cells = []
    for alike, world in product(LIKENESS, range(worlds)):
        same, at = likeness(alike), (("likeness", alike),)
        for breadth in (0.5, None, 1.0):
            traits, here = Traits.model_validate({**same, "breadth": breadth}), (*at, ("breadth", breadth or "own"))
            cells.append(Cell((("arm", "One SLM"), *here), ALONE, SMALL[:1], traits, size, world))
            cells.append(Cell((("arm", "No review"), *here), NO_REVIEW, SMALL, traits, size, world))
            for gate, seen in GATES.items():
                judge = Traits.model_validate({**same, "breadth": breadth, **seen})
                cells.append(Cell((("arm", f"GRA, {gate}"), *here), COMMITTEE, SMALL, judge, size, world))
        for breadth in (0.5, 1.0):
            traits = Traits.model_validate({**same, "breadth": breadth})
            here = (*at, ("breadth", breadth))
            cells.append(Cell((("arm", "Large"), *here), ALONE, ("slm-large",), traits, size, world))
    return cells


def run(cell: Cell) -> Arm:
    return arm(dict(cell.settings), cell.models, cell.traits, cell.size, cell.world)


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean of one value a world, and half its 95 % interval (Student's t); None for one world."""
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return (known[0] if known else float("nan")), None
    return fmean(known), float(stats.t.ppf(0.975, len(known) - 1)) * stdev(known) / math.sqrt(len(known))


class Results:
    """Arms by place and world."""

    def __init__(self, cells: Sequence[Cell], arms: Sequence[Arm]):
        self.rows = [(dict(cell.place), cell.world, found) for cell, found in zip(cells, arms, strict=True)]

    def of(self, value: Callable[[Arm], float], **where: Any) -> tuple[float, float | None]:
        """The mean over worlds of the mean over all cells at `where`, with half its interval."""
        by_world: dict[int, list[float]] = {}
        for place, world, found in self.rows:
            if all(place.get(key) == wanted for key, wanted in where.items()):
                by_world.setdefault(world, []).append(value(found))
        return mean_and_half([fmean(values) for values in by_world.values()])

    def table(self) -> str:
        """As CSV: one line a run."""
        keys = list(dict.fromkeys(key for place, _, _ in self.rows for key in place))
        columns = [*keys, "world", *Arm.__dataclass_fields__]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(place | {"world": world} | vars(found) for place, world, found in self.rows)
        return text.getvalue()


def percent(found: tuple[float, float | None]) -> str:
    value, half = found
    return f"{100 * value:.1f}" if half is None else f"{100 * value:.1f} ± {100 * half:.1f}"


def wrong(found: Arm) -> float:
    return found.wrong


def gate_table(results: Results) -> str:
    """One setting at a time, the others averaged over the grid."""
    settings = {"likeness": list(LIKENESS), "lazy": LAZY, "halo": HALO, "leniency": LENIENCY, "breadth": BREADTH}
    lines = [
        "| setting | value | wrong after the gate, % | flawed, % | kept of proposals, % |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for key, values in settings.items():
        for value in values:
            shown = [
                results.of(read, arm="GRA", **{key: value}) for read in (wrong, lambda a: a.flawed, lambda a: a.keep)
            ]
            lines.append(f"| {key} | {value} | {' | '.join(map(percent, shown))} |")
    without = [results.of(read, arm="no review") for read in (wrong, lambda a: a.flawed, lambda a: a.keep)]
    lines.append(f"| without review | | {' | '.join(map(percent, without))} |")
    return "\n".join(lines)


def arms_table(results: Results, alike: str) -> str:
    """Each combination of breadths and gate, with the arms in their order."""
    lines = [
        "| committee's breadth | large model's | reviewers | kinds of test items covered rightly, % |",
        "| --- | --- | --- | --- |",
    ]
    for own, large, gate in product((0.5, "own", 1.0), (0.5, 1.0), GATES):
        found = {
            "seeds": results.of(cover, arm="Seeds"),
            "one SLM": results.of(cover, arm="One SLM", breadth=own, likeness=alike),
            "no review": results.of(cover, arm="No review", breadth=own, likeness=alike),
            "**GRA**": results.of(cover, arm=f"GRA, {gate}", breadth=own, likeness=alike),
            "large": results.of(cover, arm="Large", breadth=large, likeness=alike),
        }
        ranked = sorted(found.items(), key=lambda pair: -pair[1][0])
        lines.append(f"| {own} | {large} | {gate} | {' > '.join(f'{n} {percent(v)}' for n, v in ranked)} |")
    return "\n".join(lines)


def cover(found: Arm) -> float:
    return found.cover


def heat_map(results: Results, path: Path) -> None:
    """Share wrong after the gate: likeness and laziness down, halo and leniency across."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    down, across = list(product(LIKENESS, LAZY)), list(product(HALO, LENIENCY))
    grid = [[results.of(wrong, arm="GRA", likeness=a, lazy=b, halo=c, leniency=d) for c, d in across] for a, b in down]
    figure = Figure(figsize=(9.0, 5.6), dpi=130)
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    image = axis.imshow([[100 * cell[0] for cell in row] for row in grid], cmap="viridis", vmin=0, aspect="auto")
    for (y, row), x in product(enumerate(grid), range(len(across))):
        value, half = row[x]
        ink = "k" if 100 * value > 15 else "w"  # readable on bright cells too
        axis.text(
            x, y, f"{100 * value:.0f}\n±{100 * (half or 0):.0f}", ha="center", va="center", fontsize=6.5, color=ink
        )
    axis.set_xticks(range(len(across)), [f"halo {c}\n+{d}" for c, d in across], fontsize=7)
    axis.set_yticks(range(len(down)), [f"{a}, lazy {b}" for a, b in down], fontsize=7)
    axis.set_xlabel("halo of a wrong answer on the other scores, and points of leniency", fontsize=8)
    before = percent(results.of(wrong, arm="no review"))
    axis.set_title(f"Wrong samples after the gate, % (simulated); without review {before}", fontsize=9)
    figure.colorbar(image)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder of the results")
    parser.add_argument("--worlds", type=int, default=4, help="worlds (seeds) of each cell")
    parser.add_argument(
        "--size", type=int, default=100, help="kept samples of a cell of the gate; of an arm: five times as many"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cover", nargs="+", type=Path, metavar="FOLDER", help="measure these data folders instead")
    given = parser.parse_args()
    if given.cover:
        print("simulated")
        for folder in given.cover:
            print(f"{folder.name}: {folder_arm(folder)}")
        return
    if given.output is None:
        parser.error("give --output DIR, or --cover FOLDER ...")
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        each = partial(pool.map, run, chunksize=4)
        gate = gate_cells(given.size, given.worlds)
        seen = Results(gate, each(gate))
        cells = arm_cells(5 * given.size, given.worlds)
        arms = Results(cells, each(cells))
    arms.rows += [({"arm": "Seeds"}, world, seed_arm(5 * given.size, world)) for world in range(given.worlds)]
    write_text(given.output / "gate.csv", seen.table())
    write_text(given.output / "arms.csv", arms.table())
    parts = [
        f"*Simulated.* Mean over {given.worlds} worlds, 95 % intervals (Student's t over worlds).",
        gate_table(seen),
    ]
    parts += [f"Models {name}:\n\n{arms_table(arms, name)}" for name in LIKENESS]
    write_text(given.output / "tables.md", "\n\n".join(parts) + "\n")
    heat_map(seen, given.output / "gate.png")
    print("\n\n".join(parts))


def folder_arm(folder: Path) -> Arm:
    """A finished data folder by the world's truth."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / "data" / "train.parquet", columns=["instruction", "response"])
    return judged([(row["instruction"], row["response"]) for row in table.to_pylist()], float("nan"))


if __name__ == "__main__":
    main()
