"""PURE: groups requests into batches, longest first. A resumed run and any number of processes get the same batches.

A reply can depend, in its last bits, on the other prompts of its batch. Batches are therefore formed from all requests of a kind
in a fixed order, whether their replies are stored or not. If all replies of a batch are stored, the batch is skipped.
The other batches are the same as in an uninterrupted run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from gra.eval.backends import ModelRequest

Size = Callable[[int, int], int]  # (tokens of the longest prompt, token limit of the reply) -> requests in the batch


def always(count: int) -> Size:
    """Return a function that can be the argument `size` of `chunks`. With it, every batch gets `count` requests."""
    return lambda *_: count


def generations(requests: Iterable[ModelRequest], size: Size) -> list[list[ModelRequest]]:
    """Divide generation requests into batches. All requests of a batch have the same generation keywords.

    Requests with the same keywords are sorted by the length of the prompt in tokens, longest first, then by its text.

    `size`: a function that returns the number of requests in a batch (see `chunks`).
    """
    groups: dict[str, list[ModelRequest]] = {}
    for request in requests:
        groups.setdefault(json.dumps(request.decoding, sort_keys=True, default=str), []).append(request)
    return [
        batch
        for _, group in sorted(groups.items())
        for batch in chunks(sorted(group, key=lambda request: (-len(request.ids), request.args[0], request.key)), size)
    ]


def likelihoods(requests: Iterable[ModelRequest], size: Size) -> list[list[ModelRequest]]:
    """Divide log-likelihood requests into batches.

    Requests that differ only in their last token are treated as one request, because one row of a forward pass answers
    all of them.

    `size`: a function that returns the number of requests in a batch (see `chunks`).
    """
    rows: dict[tuple[int, ...], list[ModelRequest]] = {}
    for request in sorted(requests, key=lambda request: (-request.scored, request.ids, request.key)):
        rows.setdefault(request.ids[:-1], []).append(request)
    longest = sorted((row[0] for row in rows.values()), key=lambda request: (-len(request.ids), request.ids))
    return [[request for first in batch for request in rows[first.ids[:-1]]] for batch in chunks(longest, size)]


def chunks(ordered: Sequence[ModelRequest], size: Size) -> list[list[ModelRequest]]:
    """Divide the requests in `ordered` into consecutive batches.

    The caller has to sort `ordered` by descending length, so that the first request of each batch is its longest.

    `size`: a function that returns the number of requests in a batch. Its two arguments describe the batch's first
    request: the number of its tokens, and the token limit of its reply.
    """
    pieces, start = [], 0
    while start < len(ordered):
        first = ordered[start]
        count = max(1, size(len(first.ids), int(first.decoding.get("max_gen_toks", 0))))
        pieces.append(list(ordered[start : start + count]))
        start += count
    return pieces
