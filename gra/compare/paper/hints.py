"""PURE: tells the user which arms have no row in the paper's tables, and how to choose a row for them.

gra compare gra=A other=B --paper Qwen2.5-7B/Alpaca      # the paper's tables have no row `other`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gra.compare.paper.tables import ARMS, BASES, BENCHMARKS, DATA, SEEDS, RowKey
from gra.compare.reading.evaluated import Evaluated

FLAGS = ("--paper-row ", "--paper-column ")  # flags of `gra compare NAME=FOLDER ...`
KEYS = ("++experiment.compare.paper.rows.", "++experiment.compare.paper.columns.")  # the same as keys of an experiment


def hints(
    evaluated: Evaluated,
    rows: Mapping[RowKey, str],
    columns: Collection[str],
    block: str,
    options: tuple[str, str] = FLAGS,
) -> list[str]:
    """Return hints for the user. Each arm that has no row in the paper's tables gets a hint. There is one more hint if
    no task of the runs is a benchmark of the paper.

    `rows`: row of the paper -> arm (see `runs.rows_of`). `columns`: the benchmarks of the paper that the runs have.
    `block`: the MODEL/SEED_DATA that all arms share, or "all" if each arm has the full name of a row
    (MODEL/SEED_DATA/DATA). `options`: the two options with which the user chooses a row for an arm and a column for a
    task. The hints mention these options, which are FLAGS on the command line and KEYS in an experiment's config.
    """
    row, column = options
    taken = {str(key).lower() for key in rows}
    if block == "all":
        free = [f"{BASES[0]}/{SEEDS[0]}/{DATA[0]}", "or another MODEL/SEED_DATA/DATA"]
    else:
        free = [data for data in DATA if data not in ARMS and f"{block}/{data}".lower() not in taken]
    found = [
        f"the paper's tables have no row `{arm}`: they leave this arm out\n    -> {row}{arm}={' | '.join(free)}"
        for arm in evaluated.groups
        if arm not in rows.values()
    ]
    if not columns:
        what = f"no task of these runs ({', '.join(evaluated.tasks)}) is a column of the paper, so `ours` is all dashes"
        found.append(f"{what}\n    -> {column}{BENCHMARKS[0]}=TASK; columns: {', '.join(BENCHMARKS)}")
    return found
