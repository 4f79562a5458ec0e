"""Computes what was spent on the data sets from which a new data set is made (PURE, except that it reads stats.json
files). The result is the value `before` in stats.json of the new data set:

before = {"tokens": {model: {role: {in, out, calls, unknown}}}, "flops": float or None}

If these data sets were themselves made from earlier ones, the sums include the value `before` of their stats.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gra.fileio import read_json

STATS = "stats.json"
_SUMS = ("in", "out", "calls", "unknown")


def before(folders: Iterable[Path]) -> dict[str, Any] | None:
    """Return the tokens and FLOPs that were spent on the data sets in these folders. Return None if one of the folders
    has no stats.json, or if its stats.json does not say what was spent.

    A folder that is named twice counts once. A data set that no model wrote costs nothing. Raises OSError if a file
    cannot be read, and ValueError if a stats.json is damaged.
    """
    tokens: dict[str, dict[str, dict[str, int | None]]] = {}
    flops: float | None = 0.0
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        if not (folder / STATS).is_file():
            return None
        stats = read_json(folder / STATS)
        earlier = stats.get("before")
        if not isinstance(stats.get("tokens"), Mapping) or ("before" in stats and earlier is None):
            return None
        parts = [stats["tokens"], *([earlier["tokens"]] if earlier else [])]
        for uses in parts:
            _add(tokens, uses)
        known = [own_flops(stats), *([earlier["flops"]] if earlier else [])]
        flops = None if flops is None or None in known else flops + sum(value for value in known if value is not None)
    return {"tokens": tokens, "flops": flops}


def share(account: Mapping[str, Any] | None, part: int, whole: int) -> dict[str, Any] | None:
    """Return the cost of some samples of a data set, as a share of the cost of the whole data set. None if `account` is
    None.

    `account`: the cost of the whole data set, as `before` returns it. `part`: the number of these samples. `whole`: the
    number of all samples. The result has every sum in `account` multiplied by `part` / `whole`.
    """
    if account is None:
        return None
    tokens = {
        model: {
            role: {key: None if value is None else value * part // whole for key, value in use.items()}
            for role, use in roles.items()
        }
        for model, roles in account["tokens"].items()
    }
    return {"tokens": tokens, "flops": None if account["flops"] is None else account["flops"] * part / whole}


def own_flops(stats: Mapping[str, Any]) -> float | None:
    """Return the FLOPs of the calls that made this data set. The FLOPs of the data sets from which it was made do not
    count. The result is 0 if no call was made, and None if the FLOPs are unknown."""
    cost = stats.get("cost")
    value = cost.get("flops") if isinstance(cost, Mapping) else 0.0 if stats.get("calls") == 0 else None
    return None if value is None else float(value)


def all_tokens(account: Mapping[str, Any] | None) -> int | None:
    """Return the number of all tokens in `account`, input and output together. Return None if a server did not report
    its tokens, or if `account` is None. `account`: a cost, as `before` returns it."""
    if account is None:
        return None
    sides = [use.get(side) for roles in account["tokens"].values() for use in roles.values() for side in ("in", "out")]
    return None if None in sides else sum(side for side in sides if side is not None)


def _add(total: dict[str, dict[str, dict[str, int | None]]], uses: Mapping[str, Any]) -> None:
    for model, roles in uses.items():
        for role, use in roles.items():
            mine = total.setdefault(model, {}).setdefault(role, dict.fromkeys(_SUMS, 0))
            for key in _SUMS:
                one, other = mine[key], use.get(key)
                mine[key] = None if one is None or other is None else one + other
