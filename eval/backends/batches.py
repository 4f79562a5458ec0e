"""PURE: requests -> batches, longest first, always the same: a resumed run, and any number of processes, make the same ones.

Replies of a batch can depend, in the last bits, on what else is in it. So batches are cut from all requests of a kind, known
or not, in the order that lm-eval itself has: a batch that was kept is passed over whole, the others are those of an unbroken run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from eval.backends import Ask

Size = Callable[[int, int], int]  # (tokens of the longest prompt, tokens that may be generated) -> requests in the batch


def always(count: int) -> Size:
    """As many, however long they are."""
    return lambda *_: count


def generations(asks: Iterable[Ask], size: Size) -> list[list[Ask]]:
    """Requests with the same decoding together, by falling length; equally long ones by their text."""
    groups: dict[str, list[Ask]] = {}
    for ask in asks:
        groups.setdefault(json.dumps(ask.decoding, sort_keys=True, default=str), []).append(ask)
    return [
        batch
        for _, group in sorted(groups.items())
        for batch in chunks(sorted(group, key=lambda ask: (-len(ask.ids), ask.args[0], ask.key)), size)
    ]


def likelihoods(asks: Iterable[Ask], size: Size) -> list[list[Ask]]:
    """Requests that one row of a forward pass answers (the same tokens up to the last) stay together, and count as one."""
    rows: dict[tuple[int, ...], list[Ask]] = {}
    for ask in sorted(asks, key=lambda ask: (-ask.scored, ask.ids, ask.key)):
        rows.setdefault(ask.ids[:-1], []).append(ask)
    longest = sorted((row[0] for row in rows.values()), key=lambda ask: (-len(ask.ids), ask.ids))
    return [[ask for first in batch for ask in rows[first.ids[:-1]]] for batch in chunks(longest, size)]


def chunks(ordered: Sequence[Ask], size: Size) -> list[list[Ask]]:
    """Consecutive pieces of `ordered` (longest first), each as large as `size` allows for its first one."""
    pieces, start = [], 0
    while start < len(ordered):
        first = ordered[start]
        count = max(1, size(len(first.ids), int(first.decoding.get("max_gen_toks", 0))))
        pieces.append(list(ordered[start : start + count]))
        start += count
    return pieces
