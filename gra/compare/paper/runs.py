"""Makes evidence for the paper's claims from evaluated arms: finds the row of the paper for each arm, and the benchmark
of the paper for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gra.compare.paper.benchmarks import Benchmark
from gra.compare.paper.evidence import Fact, Weights
from gra.compare.paper.tables import DATA, RowKey, row_key
from gra.compare.reading.data import read_object
from gra.compare.reading.evaluated import Evaluated
from gra.compare.statistics.bootstrap import Difference, Level, Range, level_of
from gra.compare.statistics.contrasts import Scored, contrast
from gra.compare.statistics.item_scores import macro
from gra.compare.tables.data_columns import number
from gra.errors import ConfigError, Problem

MACRO = ("bbh", "mmlu")  # OpenCompass prints the unweighted mean over tasks or subjects
OWN_NAMES = {  # arm of conf/arms -> its name as a row of the paper's tables
    "seed_only": "vanilla",
    "medium_own": "distilled_32b",
    "large_own": "distilled_72b",
    "single_all_roles": "single",
    **{f"gra_{rounds}": f"gra_{rounds}0k" for rounds in range(1, 6)},
}


def rows_of(arms: Sequence[str], block: str, own: Mapping[str, str]) -> dict[RowKey, str]:
    """Return a mapping from rows of the paper's tables to the arms that correspond to them. Arms without a row are left
    out.

    A row's name is MODEL/SEED_DATA/DATA. An arm gets the row that the user's mapping `own` names for it. An arm that is
    not in `own` gets the row of the same name. If no row has the arm's name, but OWN_NAMES lists a row for this name,
    the arm gets the listed row unless another arm has it. `block`: the MODEL/SEED_DATA that all arms share, if the
    arms' names are only DATA (e.g. `gra`). `block` is "all" if the arms have full names of rows.

    Raises ConfigError if an arm or a row is unknown, if two arms have the same row, or if no arm has a row.
    """
    problems = [
        Problem("paper.rows", f"`{arm}` is not an arm", f"one of: {', '.join(arms)}") for arm in own if arm not in arms
    ]
    named = {
        arm: own.get(arm, arm) for arm in arms if arm in own or arm.count("/") == 2 or (block != "all" and arm in DATA)
    }
    taken = {(words if words.count("/") == 2 else f"{block}/{words}").lower() for words in named.values()}
    named |= {
        arm: row
        for arm, row in OWN_NAMES.items()
        if arm in arms and arm not in named and block != "all" and f"{block}/{row}".lower() not in taken
    }
    found: dict[RowKey, str] = {}
    for arm in (arm for arm in arms if arm in named):
        try:
            key = row_key(named[arm], block=block)
        except ConfigError as error:
            problems += error.problems
            continue
        if key in found:
            problems.append(
                Problem("paper.rows", f"{found[key]} and {arm} are both {key}", "give each arm a row of its own")
            )
        found[key] = arm
    if not found and not problems:
        which = "say which is which (--paper-row ARM=ROW; compare.paper.rows)"
        remedy = f"name arms like the paper's data ({', '.join(DATA[:4])}, ...), or {which}"
        problems.append(Problem("paper", f"none of the arms {', '.join(arms)} is a row of the paper's tables", remedy))
    if problems:
        raise ConfigError(problems)
    return found


@dataclass
class RunsEvidence:
    """The arms of a comparison as evidence for the paper's claims.

    `rows`: row of the paper -> arm (see `rows_of`). `columns`: benchmark of the paper -> task of the runs. `known`: the
    paper's benchmarks. `options`: options of the bootstrap. A contrast is a weighted sum of mean scores of arms. If all
    arms of a contrast have scores by OpenCompass's rules, the contrast is computed from these scores. Otherwise, it is
    computed from the strict scores.
    """

    evaluated: Evaluated
    rows: Mapping[RowKey, str]
    columns: Mapping[str, str]
    known: Mapping[str, Benchmark]
    options: Mapping[str, Any]
    _cache: dict[tuple[object, ...], Difference | Level] = field(default_factory=dict)

    @property
    def benchmarks(self) -> Mapping[str, Benchmark]:
        """The paper's benchmarks."""
        return self.known

    def reading(self, arms: Sequence[str]) -> str:
        """Return the kind of score that is compared with the paper's numbers. It is "opencompass" if all arms in `arms`
        have scores by OpenCompass's rules, and "strict" otherwise."""
        scored = self.evaluated.scored
        return "opencompass" if all(scored[arm]["opencompass"] for arm in arms) else "strict"

    def scores(self, arm: str, reading: str) -> Scored:
        """Return an arm's outcomes on every benchmark of the paper on which it was evaluated. `reading`: the kind of
        score. In the benchmarks that MACRO lists (MMLU and BBH), items are weighted so that each subject or task counts
        equally."""
        scored = self.evaluated.scored[arm][reading]
        found = {name: scored[task] for name, task in self.columns.items() if task in scored}
        return {name: macro(one) if name in MACRO else one for name, one in found.items()}

    def contrast(self, weights: Weights, benchmarks: Sequence[str]) -> Range | None:
        """See evidence.Evidence."""
        arms = [self.rows.get(key, "") for key, weight in weights.items() if weight]
        if "" in arms:
            return None
        reading = self.reading(arms)
        scored = {arm: self.scores(arm, reading) for arm in arms}
        if any(name not in own for own in scored.values() for name in benchmarks):
            return None
        parts = tuple(sorted((self.rows[key], weight) for key, weight in weights.items() if weight))
        found = self._analysed(parts, scored, tuple(benchmarks) if len(benchmarks) > 1 else ())
        return found.mean if len(benchmarks) > 1 else found.tasks[benchmarks[0]]

    def _analysed(
        self, parts: tuple[tuple[str, float], ...], scored: Mapping[str, Scored], benchmarks: tuple[str, ...]
    ) -> Difference | Level:
        """The analysis over `benchmarks`; if none is given, over all benchmarks that the arms share."""
        if (parts, benchmarks) not in self._cache:
            keep = {
                arm: {n: one for n, one in own.items() if not benchmarks or n in benchmarks}
                for arm, own in scored.items()
            }
            ((arm, weight), *others) = parts
            alone = not others and weight == 1
            self._cache[parts, benchmarks] = (
                level_of(keep[arm], **self.options) if alone else contrast(keep, dict(parts), **self.options)
            )
        return self._cache[parts, benchmarks]

    def fact(self, row: RowKey, name: str) -> Fact | None:
        """Return a number about the training data of a row (see `evidence.Evidence`).

        The fact `samples` is the row's own number of samples. Every other fact is the mean over this row and the rows
        `gra_10k`, `gra_20k`, ... of the same base model and seed data.
        """
        keys = (
            [row]
            if name == "samples"
            else [row, *(key for key in self.rows if key[:2] == row[:2] and key.data.startswith("gra_"))]
        )
        found = [fact for key in keys if key in self.rows for fact in self._facts(self.rows[key], name)]
        if not found:
            return None
        return Fact(sum(fact.value for fact in found) / len(found), sum(fact.n for fact in found))

    def _facts(self, arm: str, name: str) -> list[Fact]:
        """Return the number `name` for the data set of each replicate that has it."""
        found = []
        for one in self.evaluated.groups[arm]:
            stats = read_object(one.file("data", "stats.json"))
            reasons = stats.get("reasons") if stats else None
            source = reasons if name == "adjudicated_out" and isinstance(reasons, Mapping) else stats
            value = number(source, "kept" if name == "samples" else name)
            if value is None and name == "adjudicated_out" and isinstance(reasons, Mapping):
                value = 0.0
            if value is not None:
                kept = number(stats, "kept") or 0.0  # fewer than were reviewed, so the interval is a little too wide
                found.append(Fact(value, int(kept) if name == "low_std_share" else 0))
        return found
