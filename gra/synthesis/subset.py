"""Runs the stage `subset`: writes some samples of one or several data folders to a new data folder. No model is called.

In an experiment: `_target_: gra.synthesis.subset.run`, `config: {seed: 0, subset: {choose: length_matched}}`, `inputs:
{data: STEP, like: STEP}`; further data folders are inputs `data_NAME`. The optional input `like` is a data folder that
gives the response lengths to match and, if `subset.samples` is null, the number of samples. The data folders are sorted
by input name, and the samples of a folder keep their order.

The key `before` of the new stats.json states what it cost to make the data folders. With choose=first it states only a
part of this cost, in proportion to the number of chosen samples, because it would have been enough to make these.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from gra.errors import ConfigError, Problem, StoreError
from gra.labels import simulated
from gra.settings import parse
from gra.synthesis.output.before import all_tokens, before, share
from gra.synthesis.subsets.choice import affordable, at_random, length_matched
from gra.synthesis.subsets.settings import SubsetSettings, SubsetStageSettings

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "subset"
VERSION = 1
LIKE = "like"
TRAIN = Path("data") / "train.parquet"
NOT_CHOSEN = "not_chosen"

log = logging.getLogger("gra.synthesis")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config and the inputs. If an input is None because an earlier step has not made it yet,
    its content is not checked."""
    settings, problems = parse(SubsetStageSettings, config)
    names = _data(inputs)
    problems += [
        Problem(f"inputs.{name}", "this stage has no such input", "name it data, data_NAME or like")
        for name in inputs
        if name not in names and name != LIKE
    ]
    if "data" not in inputs:
        problems.append(Problem("inputs.data", "required, but not set", "give the data folder to choose from"))
    problems += [
        Problem(f"inputs.{name}", f"no file {folder / TRAIN}", "give the output folder of a synthesis")
        for name, folder in inputs.items()
        if folder is not None and not (folder / TRAIN).is_file()
    ]
    if settings is not None:
        problems += _combinations(settings.subset, LIKE in inputs)
    return problems


def _combinations(subset: SubsetSettings, like: bool) -> list[Problem]:
    if subset.choose == "all":
        given = subset.samples is not None or like
        remedy = "leave them out, or set subset.choose=random"
        return (
            [
                Problem(
                    "subset.choose", "all keeps every sample, so `samples` and the input `like` have no effect", remedy
                )
            ]
            if given
            else []
        )
    if subset.choose == "length_matched" and not like:
        return [
            Problem(
                "inputs.like",
                "subset.choose=length_matched needs this input: the data whose lengths are matched",
                "set inputs.like=DIR",
            )
        ]
    if subset.samples is None and not like:
        return [Problem("subset.samples", "required without the input `like`", "set subset.samples, or inputs.like")]
    return []


def kept(folder: Path) -> str:  # noqa: ARG001 - the same for every folder
    """Return "", because an unfinished folder of this stage holds no work worth keeping. Making it again costs
    nothing."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the chosen samples to a new data folder. Return three numbers of samples: those chosen (`kept`), those
    wanted (`wanted`), and those in the data folders (`from`).

    Raises ConfigError for an invalid config. Raises StoreError if data cannot be read or if no sample can be chosen.
    StoreError is also raised if the wanted number of samples depends on how many tokens it cost to make a data set, and
    this cost is not known.
    """
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = SubsetStageSettings.model_validate(config)
    subset, folders = settings.subset, {name: inputs[name] for name in _data(inputs)}
    table = _joined(folders)
    lengths = _lengths(table["response"])
    targets = _lengths(_read(inputs[LIKE])["response"]) if LIKE in inputs else []
    wanted = (
        table.num_rows
        if subset.choose == "all"
        else subset.samples or _bought(subset, inputs, folders, lengths, targets)
    )
    if subset.choose == "length_matched":
        chosen = length_matched(lengths, targets, wanted, settings.seed)
    elif subset.choose == "random":
        chosen = at_random(len(lengths), wanted, settings.seed)
    else:
        chosen = list(range(min(wanted, len(lengths))))
    if len(chosen) < wanted:
        log.warning("%d samples were wanted, and the data has only %d", wanted, len(lengths))
    if not chosen:
        raise StoreError(
            f"{output}: no sample can be chosen: the data is empty, or the tokens of `like` are fewer than one sample costs"
        )
    stats = _statistics(subset, wanted, chosen, lengths, targets, [*folders.values(), *inputs.values()])
    spent = before(folders.values())
    stats["before"] = share(spent, len(chosen), len(lengths)) if subset.choose == "first" else spent
    _write(output, settings, folders, table, chosen, stats)
    return {"kept": float(len(chosen)), "wanted": float(wanted), "from": float(len(lengths))}


def _data(inputs: dict[str, Any]) -> list[str]:
    return sorted(name for name in inputs if name == "data" or name.startswith("data_"))


def _bought(
    subset: SubsetSettings,
    inputs: dict[str, Path],
    folders: dict[str, Path],
    lengths: Sequence[int],
    targets: Sequence[int],
) -> int:
    """Return how many samples to keep, according to the input `like`. With budget=samples: as many as `like` has. With
    budget=tokens: as many samples of `folders` as could have been made for the tokens that `like` cost. Raises
    StoreError if the tokens spent on `like` or on `folders` are not known."""
    if subset.budget == "samples":
        return len(targets)
    other, here = all_tokens(before([inputs[LIKE]])), all_tokens(before(folders.values()))
    if other is None or here is None:
        where = inputs[LIKE] if other is None else ", ".join(map(str, folders.values()))
        raise StoreError(
            f"{where}: the tokens spent on it are not known\n    -> set subset.samples, or subset.budget=samples"
        )
    return affordable(other, here, len(lengths))


def _read(folder: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(folder / TRAIN)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{folder / TRAIN}: cannot be read: {error}\n    -> make the data set again") from error


def _joined(folders: dict[str, Path]) -> pa.Table:
    """Return the samples of the folders, one folder after the other. If an earlier folder has the same id, the input's
    name is appended to the later id."""
    import pyarrow as pa

    tables, taken = [], set[str]()
    for name, folder in folders.items():
        table = _read(folder)
        ids = [f"{one}@{name}" if one in taken else one for one in table["id"].to_pylist()]
        taken.update(ids)
        tables.append(table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string())))
    # permissive, because one folder may have integer scores and another fractions
    return pa.concat_tables(tables, promote_options="permissive")


def _lengths(responses: pa.ChunkedArray) -> list[int]:
    import pyarrow.compute as pc

    return [int(length or 0) for length in pc.utf8_length(responses).to_pylist()]


def _statistics(
    subset: SubsetSettings,
    wanted: int,
    chosen: Sequence[int],
    lengths: Sequence[int],
    targets: Sequence[int],
    sources: Sequence[Path],
) -> dict[str, Any]:
    from gra.synthesis.output.stats import statistics

    left = len(lengths) - len(chosen)
    counts = {"proposals": len(lengths), "accepted": len(lengths), "kept": len(chosen)}
    groups = {"chosen": [lengths[i] for i in chosen], "of": lengths, "like": targets}
    return {
        **statistics([], [], simulated=simulated(sources)),
        **counts,
        "reasons": {NOT_CHOSEN: left} if left else {},
        "subset": {
            **subset.model_dump(mode="json"),
            "wanted": wanted,
            "characters": {
                name: {"mean": fmean(group), "median": median(group)} for name, group in groups.items() if group
            },
        },
    }


def _write(
    output: Path,
    settings: SubsetStageSettings,
    folders: dict[str, Path],
    table: pa.Table,
    chosen: Sequence[int],
    stats: dict[str, Any],
) -> None:
    import pyarrow as pa

    from gra.synthesis.output.card import CardInfo
    from gra.synthesis.output.dataset import write_rows

    kept = set(chosen)
    others = table.take(pa.array([i for i in range(table.num_rows) if i not in kept], pa.int64()))
    reasons = pa.array([NOT_CHOSEN] * others.num_rows, pa.string())
    details = pa.array([""] * others.num_rows, pa.string())
    card = CardInfo(
        title="A part of instruction data",
        method="Samples of existing data, unchanged; the settings below say how they were chosen.",
        seeds_name=", ".join(folder.name for folder in folders.values()),
        license=settings.license,
        settings=settings.subset.model_dump(mode="json"),
        seed=settings.seed,
        simulated=stats["simulated"],
        decontamination="none here, see the cards of the data that it was chosen from",
    )
    dropped = others.append_column("reason", reasons).append_column("detail", details)
    write_rows(output, table.take(pa.array(chosen, pa.int64())), dropped, stats, card)
