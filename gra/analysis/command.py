"""Runs `gra analyze DATA_DIR [DATA_DIR ...]`: shows measures of several data sets side by side.

The command measures how varied the instructions are, what they cover, how far they lie from the seeds and how
difficult they are, and how the reviewers judged.

    gra analyze data/mine data/other --seeds mine.jsonl --ifd Qwen/Qwen2.5-0.5B --output analysis.json

The measures are computed on equally many samples of each set, as many as the smallest set has, because two of them fall
as the number of texts grows: distinct-n (variety.py) and the distance between an instruction and its nearest neighbour.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra import labels
from gra.analysis import ifd, variety
from gra.analysis.output import spoken, write
from gra.analysis.reviewers import reviewers
from gra.compare.arms import Arm
from gra.compare.coverage.measure import Coverage, measure
from gra.compare.report import score_shapes
from gra.compare.report.coverage import instructions
from gra.compare.report.folders import manifest_of
from gra.compare.report.judgements import gate, judged
from gra.embedding.embed import Embedder, embedder_problems
from gra.errors import ConfigError, Problem
from gra.synthesis.seeds.load import load_seeds
from gra.synthesis.seeds.settings import SeedSettings

Row = dict[str, Any]
ON_MAP = 12_000  # limit on instructions of all sets together; a report has a lower limit, to save time
NUMBERS = {  # heading -> key of a set's analysis
    "samples": "samples",
    "distinct-1": "distinct_1",
    "distinct-2": "distinct_2",
    "dispersion": "dispersion",
    "to own": "nearest_own",
    "to seeds": "nearest_seed",
    "domains, bits": "domain_entropy",
    "keywords, bits": "keyword_entropy",
    "IFD": "ifd",
}
FILLED_BY = {"to seeds": "--seeds FILE", "IFD": "--ifd MODEL"}  # columns that are empty without an option


def main(words: Sequence[str]) -> int:
    """Run the command. Return the exit code. Raises ConfigError, SeedError, SynthesisError."""
    given = _parser().parse_intermixed_args(list(words))
    folders = _without_others([Path(folder) for folder in given.folders])
    if unfinished := [folder for folder in folders if folder.name.endswith(".partial")]:
        print(f"left out, not finished: {', '.join(map(str, unfinished))}", file=sys.stderr)
        folders = [folder for folder in folders if folder not in unfinished] or folders
    if problems := _problems(folders, given.model):
        raise ConfigError(problems)
    if given.limit is not None and given.limit < 1:
        raise ConfigError([Problem("--limit", f"{given.limit} samples show nothing", "give 1 or more")])
    if given.output and Path(given.output).suffix.lower() != ".json":
        what, remedy = (
            f"{given.output} is not the name of a JSON file",
            f"--output {Path(given.output) / 'analysis.json'}",
        )
        raise ConfigError([Problem("--output", what, remedy)])
    arms = [Arm(name, name, None, {"data": f}, {"data": manifest_of(f)}) for name, f in _named(folders).items()]
    sets = {str(folder): _rows(folder) for folder in folders}
    least = min(map(len, sets.values()))
    size = min(least, given.limit) if given.limit else least
    chosen = {name: random.Random(given.seed).sample(rows, size) for name, rows in sets.items()}
    seeds = _seeds(given.seeds, given.seed) if given.seeds else []
    embedder = Embedder(given.model)
    try:
        found = {name: analysis(rows, seeds, embedder, given.ifd) for name, rows in chosen.items()}
        drawn = coverage(arms, seeds, embedder, given.seed)
    finally:
        embedder.close_sync()
    simulated = labels.simulated(folders)
    reviewed = {arm.name: (judged(arm), gate(arm)[0]) for arm in arms}
    for arm in arms:
        single, tau = reviewed[arm.name]
        found[str(arm.folders["data"])] |= {"reviewers": reviewers(single), "judges": score_shapes.data(single, tau)}
    told = {"simulated": simulated, "embedder": given.model, "ifd": given.ifd, "sets": found}
    print(table(found, simulated))
    print(f"\n{spoken(drawn, reviewed)}")
    if given.output:
        files = write(Path(given.output), told, drawn, reviewed, simulated)
        print(f"\nwritten: {', '.join(map(str, files))}")
    return 0


def coverage(arms: Sequence[Arm], seeds: Sequence[str], embedder: Embedder, seed: int) -> Coverage | str:
    """Return a map that shows where the instructions of the data sets lie in embedding space.

    If no data set has enough instructions for a map, return a sentence that says so.
    `arms`: the data sets.
    """
    sets = {arm.name: instructions(arm) for arm in arms}
    known = [(str(place), text) for place, text in enumerate(seeds)]
    return measure(sets, lambda texts: embedder.embed_sync(texts, keep=True), seed, known, ON_MAP)


def analysis(rows: Sequence[Row], seeds: Sequence[str], embedder: Embedder, model: str | None = None) -> Row:
    """Return the statistics of one data set, such as distinct-n, as a mapping from name to value.

    If a measure cannot be computed, its value is None. For example, without `seeds`, the distance to the seeds is None.
    `rows`: the samples of the data set.
    `model`: the language model that computes the instruction-following difficulty (ifd.py), or None.
    """
    texts = [row["instruction"] for row in rows]
    vectors, known = embedder.embed_sync(texts, keep=True), embedder.embed_sync(seeds, keep=True)
    difficulty = ifd.scores([(row["instruction"], row["response"]) for row in rows], model) if model else []
    told = [value for value in difficulty if value is not None]
    rounds = sorted({row["round"] for row in rows if row.get("round") is not None})
    return {
        "samples": len(rows),
        **_variety(rows),
        "dispersion": variety.dispersion(vectors),
        "nearest_own": variety.median(variety.nearest(vectors, vectors, same=True)),
        "nearest_seed": variety.median(variety.nearest(vectors, known)),
        "ifd": variety.median(told),
        "ifd_counted": len(told),
        "by_round": {str(number): _variety([row for row in rows if row["round"] == number]) for number in rounds},
    }


def _variety(rows: Sequence[Row]) -> Row:
    texts = [row["instruction"] for row in rows]
    return {
        "distinct_1": variety.distinct(texts, 1),
        "distinct_2": variety.distinct(texts, 2),
        "domain_entropy": variety.entropy(row["domain"] for row in rows if row["domain"]),
        "keyword_entropy": variety.entropy(word.casefold() for row in rows for word in row["keywords"] or ()),
    }


def table(found: dict[str, Row], simulated: bool) -> str:
    """Return a Markdown table with the measures of several data sets, one row per set.

    A missing value is shown as `-`.
    `found`: data set -> its measures, as `analysis` returns them.
    `simulated`: whether to add a note that the data are simulated.
    """
    lines = [f"| set | {' | '.join(NUMBERS)} |", f"| --- |{' ---: |' * len(NUMBERS)}"]
    for name, one in found.items():
        lines.append(f"| {Path(name).name} | {' | '.join(_cell(one[key]) for key in NUMBERS.values())} |")
    notes = (
        "dispersion: mean cosine distance of two instructions; to own, to seeds, IFD: medians; sets are cut to one size"
    )
    empty = [
        f"{heading}: give {option}"
        for heading, option in FILLED_BY.items()
        if all(one[NUMBERS[heading]] is None for one in found.values())
    ]
    return "\n".join([*lines, "", "; ".join([notes, *empty, *(["simulated"] if simulated else [])])])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Return name -> folder. If two folders have the same name, the whole path replaces the name."""
    names = [folder.resolve().name for folder in folders]
    return {
        name if names.count(name) == 1 else str(folder): folder for name, folder in zip(names, folders, strict=True)
    }


def _rows(folder: Path) -> list[Row]:
    import pyarrow.parquet

    columns = ["instruction", "response", "domain", "keywords", "round", "generator", "scores"]
    file = folder / "data" / "train.parquet"
    there = set(pyarrow.parquet.read_schema(file).names)
    rows = pyarrow.parquet.read_table(file, columns=[name for name in columns if name in there]).to_pylist()
    return [dict.fromkeys(columns) | row for row in rows]


def _seeds(path: str, seed: int) -> list[str]:
    return [one.instruction for one in load_seeds(SeedSettings(path=path, limit=None), seed, None).seeds]


def _without_others(folders: Sequence[Path]) -> list[Path]:
    """Return `folders` without the folders of shards and the unfinished folders, which a user's pattern such as
    runs/store/synthesis-* also matches. If no folder would be left, return all of them."""
    found = []
    for folder in folders:
        if folder.suffix in (".shards", ".partial") and not (folder / "data" / "train.parquet").is_file():
            print(f"{folder}: {'shards' if folder.suffix == '.shards' else 'not finished'}; left out", file=sys.stderr)
        else:
            found.append(folder)
    return found or list(folders)


def _problems(folders: Sequence[Path], model: str) -> list[Problem]:
    remedy = "give the output folder of a synthesis: with data/train.parquet"
    lacking = [folder for folder in folders if not (folder / "data" / "train.parquet").is_file()]
    return [Problem(str(folder), "no data/train.parquet", remedy) for folder in lacking] + embedder_problems(model)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gra analyze",
        description="Describes data folders: variety, distance to the seeds, difficulty, scores of the reviewers.",
    )
    parser.add_argument("folders", nargs="+", metavar="DATA_DIR", help="data folders of finished syntheses")
    parser.add_argument(
        "--seeds", metavar="PATH", help="the seeds, in any form that seeds.path takes: for distances to them"
    )
    parser.add_argument(
        "--ifd",
        metavar="MODEL",
        help="also compute the instruction-following difficulty, with this causal language model (folder or hub id)",
    )
    parser.add_argument("--model", default="auto", help="the embedder, as synthesis.dedup.model (default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, help="limit on samples of each set, drawn at random; default: the size of the smallest set"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of these draws (default: %(default)s)")
    parser.add_argument(
        "--output",
        metavar="FILE.json",
        help="JSON file for all numbers, also by round and by reviewer; beside it, a map of the instructions (SVG, CSV) and "
        "a plot of the reviewers' scores (SVG) are written",
    )
    return parser
