"""gra claims: judges the paper's claims by runs, or, without runs, by the paper's own numbers.

gra claims                                                        # the paper's own numbers, as if they were ours
gra claims --output results/paper_check                           # also as files, with OpenDataArena's rows
gra claims Qwen2.5-7B/Alpaca/gra=SCORES Qwen2.5-7B/Alpaca/vanilla=SCORES ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gra.compare.paper import benchmarks, claims, claims_sheet, leaderboard_page, opendataarena, tables
from gra.compare.paper.evidence import Evidence, PaperEvidence
from gra.compare.tables.sheet import FORMS, Sheet, markdown, render
from gra.fileio import write_text
from gra.flags import Parser
from gra.paths import paper_dir

OWN = (
    "Judged: the paper's own numbers, as if they were a run's. Intervals (95 %) are from the sampling error p "
    "(1 - p) / n of each printed score on n items, without training noise, since every cell is one training; "
    "two rows count as independent, although they answered the same items. Where Table 2 prints only averages, "
    "the largest possible error is taken."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code. Raises ConfigError, EvalError, StoreError."""
    parser = Parser("gra claims", "Judge the paper's claims by a written rule (docs/comparison.md).")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="also write claims.md, claims.csv and opendataarena.md there"
    )
    parser.add_argument(
        "--format", choices=FORMS, default="terminal", help="form of the printed sheet; default: terminal"
    )
    parser.add_argument("--width", type=int, default=120, help="columns of the terminal")
    given = parser.parse_args(arguments)
    shown = own_sheets()
    if given.output:
        for name, text in files().items():
            write_text(given.output / name, text)
    print(render(claims_sheet.brief(shown) if given.format == "terminal" else shown, given.format, given.width), end="")
    return 0


def own_sheets() -> list[Sheet]:
    """Return the sheets of the claims, judged by the paper's own numbers."""
    evidence = paper_evidence()
    return judged_sheets(evidence, "The paper's claims, judged by its own numbers", OWN)


def judged_sheets(ours: Evidence, title: str, source: str) -> list[Sheet]:
    """Return sheets (tables) that show the paper's claims with their verdicts. `ours`: the evidence (scores) by which
    the claims are judged. `source`: a note that says where this evidence comes from."""
    paper = paper_evidence()
    parts = claims.load(paper_dir() / "claims.csv", tuple(paper.benchmarks))
    return claims_sheet.sheets(claims.judge(parts, ours, paper), title, source)


def paper_evidence() -> PaperEvidence:
    """Return the paper's tables as evidence. Raises StoreError for a damaged file."""
    folder = paper_dir()
    return PaperEvidence(tables.load(folder), benchmarks.load(folder / "benchmarks.csv"))


def files() -> dict[str, str]:
    """Return the contents of the files of results/paper_check by name."""
    short, long = own_sheets()
    paper = paper_evidence()
    entries = opendataarena.load(paper_dir() / "opendataarena.csv")
    bare = [markdown(replace(sheet, title="")) for sheet in (short, long)]
    text = "\n\n".join([f"# {short.title}", OPENING, bare[0], "## Parts", bare[1]])
    return {
        "claims.md": text + "\n",
        "claims.csv": render([long], "csv"),
        "opendataarena.md": leaderboard_page.page(paper.table, paper.benchmarks, entries),
    }


OPENING = (
    "Written by `gra claims --output results/paper_check` from the tables in `results/paper`; no model was "
    "run. It shows what the paper's own numbers say about its claims, with and without their sampling error, "
    "and serves as a test: fed with the paper's numbers, every delta is 0. The rules are those of "
    "`docs/comparison.md`."
)
