"""Runs `gra regate DATA_DIR KEY=VALUE[,VALUE ...] ...`: every combination of the values is an arm; writes one table and one plot.

    gra regate runs/store/synthesis-gra-data-1a2b3c4d tau=6,7,8,9 delta=1,1.5,2 --output sweep   -> sweep/sweep.csv, sweep.png

No model is called. With --data, each arm's data folder is also written, below the output, so that a student can be
trained on it. The table counts the proposals that the recorded run cannot decide. In the plot, a point is the
proportion of proposals that were accepted; a bar reaches from it to the proportion if all undecided proposals were
accepted too. A run with synthesis.tau=0 synthesis.delta=0 synthesis.check=majority records nearly all calls that any
arm needs, so nearly every arm can be decided from it.
"""

from __future__ import annotations

import argparse
import csv
import io
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.fileio import atomic_path, write_json, write_text
from gra.synthesis.regating.recorded import recorded_synthesis
from gra.synthesis.regating.regate import DECIDES, settings_of
from gra.synthesis.regating.run import Decided, RecordedRun
from gra.synthesis.regating.words import in_words

COLUMNS = (
    *("proposals", "accepted", "kept", "adjudicated", "accepted_share", "accepted_share_most", "tokens_per_kept"),
    *("undecided", "exact", "what_is_undecided"),
)
Arm = dict[str, Any]  # changed setting -> value


def main(words: Sequence[str]) -> int:
    """Run the command `gra regate` and return its exit code. Raises ConfigError if an arm (a combination of settings)
    is invalid, and StoreError if the recorded run cannot be read."""
    given = _parser().parse_intermixed_args(list(words))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    folder, output = Path(given.data), Path(given.output)
    arms = combinations(given.changes)
    recorded = recorded_synthesis(folder)
    if problems := list(dict.fromkeys(p for arm in arms for p in settings_of(recorded, arm)[1])):
        raise ConfigError(problems)
    inputs = {name: Path(place) for name in ("seeds", "benchmarks", "probe") if (place := getattr(given, name))}
    rows = []
    with each_warning_once(), RecordedRun(folder, inputs, {}, output / "spool") as run:
        for arm in arms:
            decided = run.arm(arm)
            rows.append(row(arm, decided))
            if given.data_folders:
                place = output / "data" / name_of(arm)
                decided.material.write(place, decided.result, decided.stats)
                write_json(place / "regate.json", {"recorded": str(folder), "changes": arm})
            decided.result.remove()
            print(said(name_of(arm), rows[-1]), flush=True)
        simulated = run.simulated
    write_text(output / "sweep.csv", table(rows))
    plot(rows, output / "sweep.png", "simulated" if simulated else "")
    print(f"{output / 'sweep.csv'}\n{output / 'sweep.png'}")
    if unsure := sum(not entry["exact"] for entry in rows):
        print(
            f"{unsure} of {len(rows)} arms can differ from a full run with their settings: see the column what_is_undecided"
        )
    return 0


class _New(logging.Filter):
    """A log filter that drops a warning if its text was logged before."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text = record.getMessage()
        known = text in self._seen
        self._seen.add(text)
        return not known


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Log each different warning only once during the block. Otherwise every arm would repeat the warnings about the
    recorded run."""
    filters = [(handler, _New()) for handler in logging.getLogger().handlers]
    for handler, new in filters:
        handler.addFilter(new)
    try:
        yield
    finally:
        for handler, new in filters:
            handler.removeFilter(new)


def combinations(words: Sequence[str]) -> list[Arm]:
    """Return an arm (a set of changed settings) for every combination of the values in `words`. Each word is a
    command-line argument of the form `KEY=VALUE[,VALUE ...]`, and an arm is a dict with one value for each key. If
    there are no words, the result is a single arm without changes. Raises ConfigError if a word does not have this
    form."""
    import yaml

    problems, axes = [], {}
    for word in words:
        key, sign, values = word.partition("=")
        key = key.removeprefix("synthesis.")
        if not sign or not values:
            remedy = "e.g. tau=6,7,8 delta=1,1.5"
            problems.append(Problem(word, "KEY=VALUE[,VALUE ...] is expected here", remedy))
            continue
        if key in axes:
            problems.append(Problem(key, "is given twice", f"list its values: {key}=A,B"))
        axes[key] = [yaml.safe_load(value) for value in values.split(",")]
    if problems:
        raise ConfigError(problems)
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def name_of(arm: Mapping[str, Any]) -> str:
    """Return a folder name for the arm, e.g. tau-8,delta-1.5."""
    return ",".join(f"{key}-{value}" for key, value in arm.items()) or "recorded"


def row(arm: Mapping[str, Any], decided: Decided) -> dict[str, Any]:
    """Return the row that an arm (a set of changed settings) has in the table of results. `accepted_share` is the
    proportion of proposals that were accepted. `accepted_share_most` is what this proportion would be if all undecided
    proposals were accepted too."""
    stats, undecided = decided.stats, decided.undecided
    proposals, open_ones = stats["proposals"], undecided.proposals.total()
    return {
        **arm,
        **{key: stats[key] for key in ("proposals", "accepted", "kept", "adjudicated")},
        "accepted_share": stats["accepted"] / proposals if proposals else None,
        "accepted_share_most": (stats["accepted"] + open_ones) / proposals if proposals else None,
        "tokens_per_kept": stats["cost"]["per_kept"]["tokens"],
        "undecided": open_ones,
        "exact": undecided.exact,
        "what_is_undecided": "" if undecided.exact else in_words(undecided.account()),
    }


def said(name: str, entry: Mapping[str, Any]) -> str:
    """Return a line of text for the terminal with the results of an arm (a set of changed settings). It begins with the
    proportion of accepted proposals. The number of kept samples says less, because a round ends as soon as it has
    enough samples, so most arms keep the same number."""
    share, most = entry["accepted_share"], entry["accepted_share_most"]
    accepted = "-" if share is None else f"{100 * share:.0f} %" + ("" if most == share else f" to {100 * most:.0f} %")
    undecided = f", {entry['undecided']:,} undecided" if entry["undecided"] else ""
    return f"{name}: accepted {accepted} of {entry['proposals']:,} proposals, kept {entry['kept']:,}{undecided}"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as CSV text. A missing value becomes an empty cell."""
    axes = [key for key in rows[0] if key not in COLUMNS]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*axes, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plot(rows: Sequence[Mapping[str, Any]], path: Path, mark: str) -> None:
    """Plot the proportion of accepted proposals against one setting. This is the numeric setting that has the most
    different values. There is a line for each combination of the other settings. `mark` is added to the label of the
    vertical axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes = [key for key in rows[0] if key not in COLUMNS]
    distinct = {key: list(dict.fromkeys(entry[key] for entry in rows)) for key in axes}
    numbers = [key for key in axes if all(isinstance(value, int | float) for value in distinct[key])]
    along = max(numbers, key=lambda key: len(distinct[key]), default=None)
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for entry in rows:
        label = ", ".join(f"{key}={entry[key]}" for key in axes if key != along and len(distinct[key]) > 1)
        lines.setdefault(label, []).append(entry)
    figure = Figure(figsize=(6.4, 4.0), dpi=150)
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for label, entries in lines.items():
        shown = [e for e in entries if e["accepted_share"] is not None]
        x = [float(e[along]) if along is not None else 0.0 for e in shown]
        low = [100 * e["accepted_share"] for e in shown]
        up = [100 * e["accepted_share_most"] - value for e, value in zip(shown, low, strict=True)]
        axis.errorbar(x, low, yerr=[[0.0] * len(up), up], marker="o", markersize=4, capsize=3, label=label or None)
    axis.set_xlabel(along or "")
    axis.set_ylabel("accepted proposals, %" + (f" ({mark})" if mark else ""))
    axis.set_title("bars: up to all undecided proposals accepted", fontsize=8)
    if any(lines):
        axis.legend(fontsize=7)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gra regate",
        description="Apply the gate to a recorded synthesis with other settings, without model calls; write a table and a plot.",
        epilog=f"settings: {', '.join(DECIDES)}. Example: gra regate data/mine tau=6,7,8 delta=1,1.5 --output sweep",
    )
    parser.add_argument("data", help="data folder of a finished synthesis, with its journal.sqlite")
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE[,VALUE ...]", help="settings to change, each with the values to try"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of sweep.csv and sweep.png")
    parser.add_argument(
        "--data",
        dest="data_folders",
        action="store_true",
        help="also write a data folder for each combination of settings",
    )
    for name in ("seeds", "benchmarks", "probe"):
        parser.add_argument(
            f"--{name}",
            metavar="DIR",
            help=f"new place of the folder that the run had as its input `{name}`, if that folder was moved",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
