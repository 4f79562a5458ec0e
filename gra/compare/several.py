"""Compares any number of evaluated runs: `gra compare NAME=FOLDER NAME=FOLDER ...`. A folder holds scores of `gra
eval`, or logs of lm-eval (--log_samples).

gra compare gra=A gra=B large=C large=D                    # folders of one name are training runs of one arm
gra compare gra=A vanilla=B large=C --contrast large-vanilla
gra compare gra=A vanilla=B --paper Qwen2.5-7B/Alpaca      # beside the paper's rows, and its claims
gra compare gra=A vanilla=B --format latex > table.tex
gra compare A B --power                                    # what such a comparison can see
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from gra.compare.arms import Arm, check_arms
from gra.compare.optional_sheets import optional_sheets, texts
from gra.compare.options import Options, PaperOptions
from gra.compare.paper.claims_sheet import run_only
from gra.compare.paper.hints import FLAGS
from gra.compare.paper.sheets import paper_hints
from gra.compare.reading.evaluated import REREAD, read
from gra.compare.reading.folders import is_run, load, split
from gra.compare.reading.scores import VERIFIED
from gra.compare.tables import csv_export, table
from gra.compare.tables.rows import Comparison, build
from gra.compare.tables.sheet import FORMS, SUFFIX, WRITTEN, Sheet, render
from gra.compare.written import told, write_sheets
from gra.errors import ConfigError, EvalError, Problem
from gra.fileio import write_text
from gra.flags import Parser

OWN = ("contrast", "best", "paper", "paper_row", "paper_column", "format", "output", "reference", "metric", "power")
_WORDS = {"opencompass": "by OpenCompass's rules", "verified": "by a verifier"}


def add_flags(parser: Parser) -> None:
    """Add the flags of a comparison of several runs to `parser`."""
    parser.add_argument(
        "--reference", metavar="NAME", help="the arm that the others are compared with; default: the first"
    )
    parser.add_argument(
        "--contrast",
        action="append",
        metavar="ARM-ARM",
        help="also show the first minus the second; ARM+ARM-ARM: the mean of two minus the third",
    )
    parser.add_argument(
        "--best",
        action="append",
        metavar="ARM+ARM",
        help="also show the best of these arms, chosen on a fifth of the items, scored on the others",
    )
    parser.add_argument(
        "--paper",
        metavar="MODEL/SEED_DATA",
        help="add the paper's rows for this base model and these seed data, e.g. Qwen2.5-7B/Alpaca; all: the arms "
        "are named MODEL/SEED_DATA/DATA",
    )
    parser.add_argument(
        "--paper-row",
        action="append",
        metavar="NAME=ROW",
        help="the paper's row of an arm, MODEL/SEED_DATA/DATA or DATA, e.g. big=distilled_72b",
    )
    parser.add_argument(
        "--paper-column",
        action="append",
        metavar="BENCHMARK=TASK",
        help="the task that corresponds to a benchmark of the paper",
    )
    parser.add_argument("--format", choices=FORMS, help="form of what is printed; default: terminal")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="also write every sheet there as Markdown, CSV and LaTeX"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="of lm-eval's logs, the metric to compare, e.g. acc_norm; default: the first"
    )
    parser.add_argument(
        "--power",
        type=float,
        nargs="?",
        const=2.0,
        metavar="POINTS",
        help="also print the smallest detectable difference, and what detects 2 (or POINTS) points",
    )


def asked(given: argparse.Namespace) -> bool:
    """Return whether the command line asks for more than the difference between two unnamed runs."""
    return (
        len(given.folders) != 2
        or any(split(word)[0] for word in given.folders)
        or any(getattr(given, name) for name in OWN)
    )


def run(given: argparse.Namespace, options: Options) -> None:
    """Compare the runs that the command line names, and print the comparison. With --output, also write it to a folder.
    Raises ConfigError, EvalError, StoreError."""
    arms = arms_of(given.folders, given.metric)
    reference = given.reference or arms[0].name
    if problems := check_arms(arms, reference):
        raise ConfigError(problems)
    options = options.model_copy(update=_more(given))
    evaluated = read(arms, reference)
    comparison = build(
        arms,
        title=f"Comparison of {len(evaluated.groups)} runs",
        reference=reference,
        resamples=options.resamples,
        level=options.level,
        seed=options.seed,
        items_only=options.items_only,
        evaluated=evaluated,
    )
    further = optional_sheets(evaluated, reference, options)
    listed = _write(given.output, comparison, further, options.width) if given.output else ""
    form = given.format or "terminal"
    parts = [_table(comparison, form, options.width)]
    if form == "terminal":
        further = _short(further, given.output)
    if form != "csv":  # CSV stays one table
        shown = [one for sheets in further.values() for one in sheets]
        parts += [render(shown, form, options.width)] if shown else []
    print("\n".join(parts), end="", flush=True)
    if listed:
        to, before = (sys.stdout, "\n") if form == "terminal" else (sys.stderr, "")  # other forms are piped into files
        print(before + listed, file=to)
    for line in paper_hints(evaluated, options, FLAGS):
        print(line, file=sys.stderr)


def _write(folder: Path, comparison: Comparison, further: Mapping[str, list[Sheet]], width: int) -> str:
    """Write the table and every further sheet to `folder`. Return a text that lists the written and the removed
    files."""
    tables = {f"table.{SUFFIX[form]}": _table(comparison, form, width) for form in WRITTEN}
    for name, text in tables.items():
        write_text(folder / name, text)
    sheets = texts(further)
    removed = told(folder, write_sheets(folder, sheets))
    listed = f"written: {', '.join(str(folder / name) for name in sorted({**tables, **sheets}))}"
    return "\n".join([textwrap.fill(listed, width, break_long_words=False, break_on_hyphens=False), *removed])


def _short(further: Mapping[str, list[Sheet]], output: Path | None) -> dict[str, list[Sheet]]:
    """The sheets for a terminal. Claims that could not be judged are counted, not shown. The long sheet `paper` is left
    out if it was written to `output`."""
    found = {name: sheets for name, sheets in further.items() if name != "paper" or output is None}
    if "claims" in found:
        listed = f"They are in {output / 'claims.md'}." if output else "--output DIR writes them all (claims.md)."
        found["claims"] = run_only(found["claims"], listed)
    return found


def arms_of(words: Sequence[str], metric: str | None) -> list[Arm]:
    """Return the arms that the command line names. `words`: its arguments, each of the form NAME=FOLDER or FOLDER.
    Without a NAME, the arm gets the folder's name. Folders with the same NAME are training runs of one arm.

    `gra rescore` can score the replies of a run a second time, by OpenCompass's rules or by a verifier model. A folder
    with such second scores is not a further training run. An arm's first folder with second scores belongs to its first
    training run, the second folder to the second training run, and so on. There is one exception. If an arm has only
    folders with second scores of the same kind, each of these folders is one of its training runs. If a verifier model
    made these second scores, the arm's label names the verifier.

    Raises ConfigError if a folder holds no evaluation, or if only some training runs of an arm were scored again.
    """
    missing = [folder for word in words if not is_run(folder := split(word)[1])]
    problems = [
        Problem(
            "FOLDER",
            f"`{folder}` holds no evaluation" if folder.exists() else f"`{folder}` does not exist",
            "a folder with scores.json, or lm-eval's with samples_*.jsonl",
        )
        for folder in missing
    ]
    if problems:
        raise ConfigError(problems)
    named: dict[str, list[Path]] = {}
    order: dict[str, None] = {}  # names in the order of first appearance: the first arm is the reference
    read_as: dict[Path, str] = {}
    reread: dict[str, dict[str, list[Path]]] = {reading: {} for reading in REREAD}
    for word in words:
        name, folder = split(word)
        name = name or _own_name(folder, order)
        order.setdefault(name)
        read_as[folder] = reading_of(folder)
        reread.get(read_as[folder], named).setdefault(name, []).append(folder)
    for again in reread.values():
        for name in [name for name in again if name not in named]:
            named[name] = again.pop(name)
    for reading, again in reread.items():
        for name, folders in again.items():
            if len(folders) != len(named[name]):
                what = f"{len(folders)} of its {len(named[name])} runs are read {_WORDS[reading]} too"
                raise ConfigError(
                    [Problem(name, what, f"re-read all of them (gra rescore --reading {reading}), or none")]
                )
    found = []
    for name, folders in ((name, named[name]) for name in order):
        for place, folder in enumerate(folders):
            steps = {"scores": folder} | {kind: again[name][place] for kind, again in reread.items() if name in again}
            label = _label(name, folder) if read_as[folder] == VERIFIED else name
            found.append(Arm(name, label, place if len(folders) > 1 else None, steps, metric=metric))
    return found


def reading_of(folder: Path) -> str:
    """Return the name of the rules by which the replies in a folder were scored. If at least one benchmark was scored
    again by rules whose name is in REREAD, return this name. Otherwise, return "strict"."""
    if not (folder / "scores.json").exists():
        return "strict"
    found = {task.reading for task in load(folder).tasks.values()}
    return next((reading for reading in REREAD if reading in found), "strict")


def _label(name: str, folder: Path) -> str:
    """The arm's name, followed by the names of the verifiers that judged its replies."""
    verifiers = sorted({task.verifier for task in load(folder).tasks.values() if task.verifier})
    return f"{name} (verified by {', '.join(verifiers)})"


def names_run(word: str) -> bool:
    """Return whether the argument `word` has the form NAME=FOLDER and the folder holds an evaluated run."""
    name, folder = split(word)
    return bool(name) and is_run(folder)


def _own_name(folder: Path, taken: Container[str]) -> str:
    """The folder's name, preceded by as many parent folders as make it differ from all names in `taken`. Raises
    EvalError if even the whole path is taken."""
    parts = folder.resolve().parts
    for count in range(1, len(parts)):
        name = "/".join(parts[-count:])
        if name not in taken:
            return name
    raise EvalError(f"{folder} is given twice\n    -> give training runs of one arm as NAME=FOLDER NAME=FOLDER")


def _more(given: argparse.Namespace) -> dict[str, object]:
    """The options that have flags of their own here."""
    paper = None
    if given.paper or given.paper_row or given.paper_column:
        paper = PaperOptions(
            block=given.paper or "all", rows=_pairs(given.paper_row), columns=_pairs(given.paper_column)
        )
    return {
        "contrasts": given.contrast or [],
        "best": given.best or [],
        "paper": paper,
        "items_only": given.items_only,
        "power": given.power,
    }


def _pairs(words: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for word in words or []:
        name, sign, value = word.partition("=")
        if not sign:
            raise ConfigError([Problem(word, "a pair NAME=VALUE is expected", "for example gra=Qwen2.5-7B/Alpaca/gra")])
        found[name] = value
    return found


def _table(comparison: Comparison, form: str, width: int) -> str:
    if form == "csv":
        return csv_export.csv_text(comparison)
    if form == "terminal":
        return table.terminal(comparison, width)
    sheets: list[Sheet] = table.sheets(comparison)
    return table.markdown(comparison) if form == "markdown" else render(sheets, form)
