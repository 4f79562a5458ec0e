"""PURE: how a round is divided over jobs. Proposal k belongs to shard k mod n; what a shard asks is in its journal.

A shard does not decide anything: it asks what its proposals will need. The merge is the ordinary synthesis, which finds those
replies in the shards' journals and asks only what is missing (summaries, proposals beyond the estimate). So n shards give the
same data set as one, whatever became of them.

    python -m gra.synthesis shard=0/4 round=1 output=DIR ...     -> DIR.shards/round-1/shard-0-of-4
    python -m gra.synthesis merge round=1 output=DIR ...         -> DIR.shards/merged-1
    python -m gra.synthesis merge output=DIR ...                 -> DIR, all rounds
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gra.errors import ConfigError, Problem
from gra.typed import in_quotes, unquoted, word_for

FIRST_ROUND = 2.5  # proposals for each sample wanted, before anything is known; the merge asks for what is missing
SPARE = 1.15  # of the last round's proposals: later rounds drop more duplicates


def parse_shard(text: str) -> tuple[int, int]:
    """`i/n` -> (i, n). Raises ConfigError unless 0 <= i < n."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError([Problem("shard", f"{text!r} is not i/n with 0 <= i < n", "e.g. shard=0/4, up to shard=3/4")])
    return int(match[1]), int(match[2])


def proposals_to_prepare(wanted: int, limit: int, last: Mapping[str, Any] | None) -> int:
    """How many proposals the shards of a round prepare together: by the account of the round before (`last`, an entry of
    `rounds` in stats.json), else by FIRST_ROUND. Never more than `limit`."""
    if last is None:
        return min(limit, math.ceil(FIRST_ROUND * wanted))
    return min(limit, math.ceil(SPARE * int(last["proposals"])))


def rewrite(words: Sequence[str]) -> tuple[str, list[str]]:
    """What `merge ...` or `shard=i/n round=r ...` on the command line stand for: ("stage" | "shard", the words for the app).

    Words that are about neither are returned as they are, for the ordinary stage. Raises ConfigError for what is missing.
    """
    values = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
    merge = "merge" in words
    if not merge and "shard" not in values:
        return "stage", list(words)
    missing = [key for key in ("output", *(() if merge else ("round",))) if key not in values]
    if missing:
        remedy = "e.g. shard=0/4 round=1 output=DIR, then merge round=1 output=DIR, and in the end merge output=DIR"
        raise ConfigError([Problem(key, "required, but not set", remedy) for key in missing])
    output = unquoted(values["output"]).rstrip("/")
    ours = ("merge", "output", "shard", "round", "runtime.reuse")
    kept = [word for word in words if word.split("=", 1)[0] not in ours]
    given = values.get("runtime.reuse", "").removeprefix("[").removesuffix("]")  # the user's own, as Hydra reads it
    if merge:
        kept.append(_reuse([f"{output}.shards"], given))
        if "round" not in values:
            return "stage", [*kept, f"output={word_for(output)}"]
        merged = f"{output}.shards/merged-{values['round']}"
        return "stage", [*kept, f"synthesis.rounds={values['round']}", f"output={word_for(merged)}"]
    number, (index, count) = int(values["round"]), parse_shard(values["shard"])
    earlier = [f"{output}.shards/round-{k}" for k in range(number)]  # those of its own round are being written now
    kept.append(_reuse(earlier, given))
    if number > 1:
        kept.append(f"+inputs.previous={word_for(f'{output}.shards/merged-{number - 1}')}")
    place = f"{output}.shards/round-{number}/shard-{index}-of-{count}"
    return "shard", [*kept, f"runtime.shard={values['shard']}", f"runtime.round={number}", f"output={word_for(place)}"]


def _reuse(folders: Sequence[str], given: str) -> str:
    """The override of `runtime.reuse`: these folders, quoted where Hydra's grammar wants it, and those that the user named."""
    quoted = [folder if re.fullmatch(r"[\w./-]+", folder, re.ASCII) else in_quotes(folder) for folder in folders]
    return f"runtime.reuse=[{','.join([*quoted, given] if given.strip() else quoted)}]"
