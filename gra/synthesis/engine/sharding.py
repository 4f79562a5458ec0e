"""PURE: divides the proposals of a round among n jobs, called shards. Proposal k belongs to shard k mod n; each shard
has its own journal.

A shard only makes the calls of its proposals and records the replies; it accepts and drops no sample. When the shards
of a round have ended, a job called the merge runs. It is an ordinary synthesis up to this round: it imports the shards'
journals and makes the calls that are missing (summaries, and proposals beyond the estimated number). So the data set
does not depend on the number of shards, nor on whether some of them failed. The merge of round r imports the journals
of the merge of round r-1 and of the shards of round r. shard_folders.py looks for these journals when the merge starts.

    gra synthesize shard=0/4 round=0 output=DIR ...     -> DIR.shards/round-0/shard-0-of-4: a part of the seeds is annotated
    gra merge round=0 output=DIR ...                    -> DIR.shards/merged-0: all seeds
    gra synthesize shard=0/4 round=1 output=DIR ...     -> DIR.shards/round-1/shard-0-of-4: a part of the proposals
    gra merge round=1 output=DIR ...                    -> DIR.shards/merged-1
    gra merge output=DIR ...                            -> DIR, all rounds
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.parts import Part, Wave
from gra.synthesis.config import changed
from gra.typed import unquoted, word_for

SHARDS = ".shards"  # OUTPUT.shards is the folder of the shards
FIRST_ROUND = 2.5  # proposals per wanted sample while no keep rate is known; the merge makes those that are missing
SHARD, WHOLE = "gra.synthesis.shard.run", "gra.synthesis.stage.run"
SPARE = 1.15  # factor on the last round's proposals, because later rounds drop more duplicates


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `i/n` into (i, n). Raises ConfigError unless 0 <= i < n."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError([Problem("shard", f"{text!r} is not i/n with 0 <= i < n", "e.g. shard=0/4, up to shard=3/4")])
    return int(match[1]), int(match[2])


def proposals_to_prepare(wanted: int, limit: int, last: Mapping[str, Any] | None) -> int:
    """Return how many proposals all shards of a round prepare together, at most `limit`.

    `wanted`: the number of samples that the round needs. In the first round, the result is FIRST_ROUND times `wanted`.
    In a later round, the result is SPARE times the number of proposals of the previous round. `last`: the previous
    round's entry in `rounds` of stats.json. It is None in the first round.
    """
    if last is None:
        return min(limit, math.ceil(FIRST_ROUND * wanted))
    return min(limit, math.ceil(SPARE * int(last["proposals"])))


def rewrite(words: Sequence[str]) -> tuple[str, list[str]]:
    """Translate the arguments of a command line with `merge` or `shard=i/n round=r` into config overrides. Return the
    name of the Hydra app that runs the command ("stage" or "shard"), and the arguments that this app gets.

    If neither `merge` nor `shard` is among the arguments, they are returned unchanged, for the app "stage". Raises
    ConfigError if `output` or `round` is missing.
    """
    values = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
    merge = "merge" in words
    if not merge and "shard" not in values:
        return "stage", list(words)
    missing = [key for key in ("output", *(() if merge else ("round",))) if key not in values]
    if missing:
        remedy = "e.g. shard=0/4 round=1 output=DIR, then merge round=1 output=DIR, and after the last round merge output=DIR"
        raise ConfigError([Problem(key, "required, but not set", remedy) for key in missing])
    output = unquoted(values["output"]).rstrip("/")
    kept = [word for word in words if word.split("=", 1)[0] not in ("merge", "output", "shard", "round")]
    kept.append(f"runtime.shards={word_for(f'{output}{SHARDS}')}")
    if merge and "round" not in values:
        return "stage", [*kept, f"output={word_for(output)}"]
    number = int(values["round"])
    if merge and number > 0:
        return "stage", [*kept, f"synthesis.rounds={number}", f"output={word_for(f'{output}{SHARDS}/merged-{number}')}"]
    index, count = (0, 1) if merge else parse_shard(values["shard"])
    kept.append(f"+config.shard={{round:{number},index:{index},count:{count},gathers:{str(merge).lower()}}}")
    if number > 1:
        kept.append(f"+inputs.previous={word_for(f'{output}{SHARDS}/merged-{number - 1}')}")
    place = "merged-0" if merge else f"round-{number}/shard-{index}-of-{count}"
    return "shard", [*kept, f"output={word_for(f'{output}{SHARDS}/{place}')}"]


def waves(config: Mapping[str, Any], rounds: int, output: Path, count: int) -> list[Wave]:
    """Return the jobs that prepare a run into `output`, in waves that run one after the other.

    Each round but the last has two waves: its shards, then the merge that collects their results. The last round has
    only its shards. The run itself, which starts after these waves, does the work of the last merge. The first round is
    round 0, which annotates the seeds. `rounds`: the number of rounds of the run. `count`: the number of shards of each
    round.
    """
    folder = output.with_name(f"{output.name}{SHARDS}")
    found: list[Wave] = []

    def shard(index: int, number: int, of: int = count, gathers: bool = False) -> Part:
        mine = {"round": number, "index": index, "count": of, "gathers": gathers}
        place = folder / "merged-0" if gathers else folder / f"round-{number}" / f"shard-{index}-of-{of}"
        previous = {"previous": folder / f"merged-{number - 1}"} if number > 1 else {}
        return Part(SHARD, {**gathering(config, output), "shard": mine}, place, previous)

    def merge(_task: int, number: int) -> Part:
        if number == 0:
            return shard(0, 0, 1, gathers=True)
        short = changed(gathering(config, output), "synthesis", rounds=number)
        return Part(WHOLE, short, folder / f"merged-{number}", {})

    for number in range(rounds + 1):
        found.append(Wave(f"round-{number}", count, partial(shard, number=number)))
        if number < rounds:
            found.append(Wave(f"merge-{number}", 1, partial(merge, number=number), gathers=True))
    return found


def gathering(config: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Return a copy of `config` with which a run imports the journals in the folder OUTPUT.shards. In the copy,
    `runtime.shards` is the path of this folder."""
    folder = output.with_name(f"{output.name}{SHARDS}")
    return changed(config, "runtime", shards=str(folder))
