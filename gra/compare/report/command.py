"""`gra report DIR ...`: one self-contained HTML file for any folders: data, training, scores, or a comparison of several.

gra report data/mine                          # writes data/mine/report.html
gra report scores/a scores/b                  # compares them; shows their training and data where these are still there
gra report gra=data/gra gra=scores/gra large=scores/large --reference gra --output comparison.html

Every stage writes report.html into its folder when it ends; this command also shows what the folder was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from gra.compare.arms import Arm, check_arms
from gra.compare.options import Options
from gra.compare.reading.evaluated import read
from gra.compare.report.coverage import Seeds
from gra.compare.report.folders import arms_of, manifest_of, step_of, title_of
from gra.compare.report.page import render
from gra.compare.report.samples import Judge
from gra.compare.tables.rows import build
from gra.errors import ConfigError, Problem, StoreError
from gra.fileio import write_text
from gra.flags import Parser

NAME = "report.html"


def main(arguments: Sequence[str], judge: Judge | None = None, seeds: Seeds | None = None) -> int:
    """Run `gra report` with these arguments and return the exit code. `judge`: a function that says whether a simulated
    response is right. `seeds`: a function that finds the seed samples from which an arm's data were made. Raises
    ConfigError, StoreError, EvalError."""
    parser = Parser("gra report", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="DIR",
        help="folders of stages, or NAME=DIR; give all folders of one arm the same NAME",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page; default: DIR/report.html, or ./report.html for several DIRs.\n"
        "If ./report.html exists and shows other DIRs, it is kept: give --output",
    )
    parser.add_argument(
        "--reference", metavar="NAME", help="the arm that the others are compared with; default: the first"
    )
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument("--samples", type=int, metavar="N", help="limit on samples; default: as many as a page holds")
    parser.add_argument(
        "--no-map",
        action="store_true",
        help="leave out the map of the instructions; it takes time to compute the embeddings of up to 3,000 of them",
    )
    given = parser.parse_intermixed_args(arguments)
    arms = arms_of(given.folders)
    alone = len(given.folders) == 1 and Path(given.folders[0]).is_dir()
    path = given.output or (Path(given.folders[0]) / NAME if alone else Path(NAME))
    mark = _mark(arms)
    if not given.output and not alone and path.exists() and not _ends_with(path, mark):
        remedy = "name another page: --output FILE (or that one, to replace it)"
        raise ConfigError([Problem("--output", f"{path} is there and shows other folders", remedy)])
    page = report(arms, given.title, given.reference, given.samples, judge, draw=not given.no_map, seeds=seeds)
    try:
        write_text(path, page + mark)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}\n    -> give a file that can be written: --output FILE") from error
    print(f"{path}: {len(page.encode()) / 1e6:.1f} MB; open it in a browser")
    return 0


def _mark(arms: Sequence[Arm]) -> str:
    """The last line of a page that the command writes: a hash of the folders that it shows."""
    shown = sorted(str(folder.resolve()) for arm in arms for folder in arm.folders.values())
    return f"<!-- folders: {hashlib.sha256(json.dumps(shown).encode()).hexdigest()} -->\n"


def _ends_with(path: Path, mark: str) -> bool:
    try:
        return path.read_bytes().endswith(mark.encode())
    except OSError:
        return False


def report(
    arms: Sequence[Arm],
    title: str | None = None,
    reference: str | None = None,
    samples: int | None = None,
    judge: Judge | None = None,
    *,
    draw: bool = False,
    seeds: Seeds | None = None,
) -> str:
    """Return an HTML page that shows `arms`. `reference`: the name of the arm with which the others are compared. None
    means the first arm. See `page.render` for `samples`, `judge`, `draw` and `seeds`.

    Raises ConfigError, StoreError, EvalError.
    """
    first = reference or arms[0].name
    if problems := check_arms(arms, first):
        raise ConfigError(problems)
    options = Options()
    comparison = build(
        arms,
        title=title or title_of(arms),
        reference=first,
        resamples=options.resamples,
        level=options.level,
        seed=options.seed,
        evaluated=read(arms, first),
    )
    return render(comparison, arms, samples, judge, draw=draw, seeds=seeds)


def write_beside(folder: Path, name: str) -> Path | None:
    """Write a report on one stage of the pipeline to the file report.html, and return the path of this file. `folder`:
    the output folder of the stage, to which the report is written. `name`: the folder's name in the report.

    If an audit made the folder, or a report cannot show this kind of folder, write nothing and return None.
    """
    step = step_of(folder)
    if step is None or step == "audit":
        return None
    path = folder / NAME
    write_text(path, report([Arm(name, name, None, {step: folder}, {step: manifest_of(folder)})]))
    return path
