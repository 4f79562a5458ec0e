"""Finds samples that are nearly the same (paper, post-processing). Goes through the samples from the highest to the
lowest review score, and keeps each sample that is not too close to a sample kept before.

The result is exact: large float32 matrix products find the pairs that may be too close, and these pairs are then
compared in float64. So the result does not depend on block sizes, threads or the BLAS library. If the samples have ids,
it does not depend on their order either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gra.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

# Candidates per block, kept rows per product, pairs compared in float64 at once. These change the speed, not the result.
ROWS, COLUMNS, PAIRS = 512, 2048, 4096


class DedupSettings(Settings):
    """Settings of the search for samples that are nearly the same."""

    threshold: float = Field(0.9, gt=0, le=1, description="Cosine similarity at which two samples are duplicates.")
    text: Literal["instruction", "response", "both"] = Field(
        "instruction",
        description="The part of a sample that is embedded (NS; the paper's coverage plots embed instructions).",
    )
    against_seeds: bool = Field(
        True,
        description="true: also drop samples that are too close to a seed; false: compare generated samples only (NS).",
    )
    tie: Literal["drop", "keep"] = Field(
        "drop",
        description="What happens to a sample whose similarity is exactly the threshold (NS; the paper is inconsistent).",
    )
    model: str = Field(
        "auto",
        description="Sentence embedder: packaged (all-MiniLM-L6-v2 of gra[minilm]), auto (packaged if it is installed, else the "
        "same model from the hub), "
        "hash, or a sentence-transformers hub id or folder (gra/embedding/embed.py).",
    )


@dataclass(frozen=True)
class Dropped:
    """A row that `greedy` dropped. `index`: the index of the row in the array `vectors`. `nearest`: the index of the
    kept row that is nearest to the dropped row. `in_before`: whether this kept row is in the array `before` that was
    passed to `greedy`. Otherwise, it is in the array `vectors`. `cosine`: the cosine similarity of the two rows."""

    index: int
    nearest: int
    in_before: bool
    cosine: float


@dataclass(frozen=True)
class Deduplicated:
    """The rows that `greedy` kept and dropped. `kept`: the indices of the kept rows, those with the best scores first.
    `dropped`: the dropped rows, in the order in which they were compared."""

    kept: list[int]
    dropped: list[Dropped]


def greedy(
    vectors: Matrix,
    scores: Sequence[float | None],
    before: Matrix | None = None,
    *,
    threshold: float,
    tie: Literal["drop", "keep"] = "drop",
    ids: Sequence[str] | None = None,
) -> Deduplicated:
    """Go through the rows of `vectors` from the highest to the lowest score, and drop each row that is too close to a
    row kept before. Return the kept and the dropped rows.

    Two rows are too close if their cosine exceeds `threshold`. `tie`: "drop" if a row whose cosine equals the threshold
    is to be dropped, "keep" if it is to be kept.

    `vectors` [n, d] and `before` [m, d] have unit vectors as rows. The rows of `before` count as kept from the
    beginning. A score of None counts as the lowest. Rows with equal scores are compared in ascending order of their
    `ids`, which must be unique. If `ids` is None, these rows are compared in the order of their indices. Raises
    ValueError if a row is not a unit vector (tolerance 1e-2).
    """
    import numpy as np

    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    count, width = vectors.shape
    before = np.empty((0, width), np.float32) if before is None else np.ascontiguousarray(before, dtype=np.float32)
    slack = max(_slack(vectors), _slack(before))
    order = sorted(range(count), key=lambda i: (_rank(scores[i]), ids[i] if ids is not None else i))
    first = _first_of_equal_rows(before)

    # kept rows, in order of entry; the system assigns its memory only as it fills
    pool = np.empty((len(first) + count, width), np.float32)
    pool[: len(first)] = before[first]
    size = len(first)
    source = list(first)  # per row of the pool: its index in `before` or in `vectors`
    kept: list[int] = []
    dropped: list[Dropped] = []
    floor = np.float32(threshold - slack)
    product = np.empty((ROWS, max(ROWS, COLUMNS)), np.float32)
    for start in range(0, count, ROWS):
        rows = order[start : start + ROWS]
        block = vectors[rows]
        best = _nearest(block, pool[:size], floor, slack, product)
        inner = np.tril(np.matmul(block, block.T, out=product[: len(rows), : len(rows)]) >= floor, -1)
        entered = np.ones(len(rows), bool)
        for i in sorted(
            best.keys() | set(np.flatnonzero(inner.any(axis=1)).tolist())
        ):  # all other rows are below the threshold
            cosine, where = best.get(i, (-2.0, -1))
            nearest, in_before = (source[where], where < len(first)) if where >= 0 else (-1, False)
            close = np.flatnonzero(inner[i, :i] & entered[:i])
            if len(close):
                exact = cosines(np.broadcast_to(block[i], (len(close), width)), block[close])
                top = int(np.argmax(exact))
                if exact[top] > cosine:
                    cosine, nearest, in_before = float(exact[top]), rows[close[top]], False
            if cosine > threshold or (cosine == threshold and tie == "drop"):
                dropped.append(Dropped(rows[i], nearest, in_before, cosine))
                entered[i] = False
        new = [row for row, enters in zip(rows, entered.tolist(), strict=True) if enters]
        pool[size : size + len(new)] = block[entered]
        size += len(new)
        source += new
        kept += new
    return Deduplicated(kept, dropped)


def cosines(left: Matrix, right: Matrix) -> NDArray[np.float64]:
    """Return, for each i, the cosine of row i of `left` and row i of `right`, in float64. `greedy` decides by these
    values.

    Two equal rows give exactly 1.0. A cosine depends only on its two rows, not on the other rows in the arrays.
    """
    import numpy as np

    # Row-major copies, because the memory layout decides the order of summation and so the last bit.
    a, b = np.array(left, np.float64, order="C"), np.array(right, np.float64, order="C")
    value: NDArray[np.float64] = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return value


def _nearest(
    block: Matrix, pool: Matrix, floor: np.float32, slack: float, room: Matrix
) -> dict[int, tuple[float, int]]:
    """Find the nearest row of `pool` for each row of `block` that may be too close to one. Return row of `block` ->
    (its largest cosine, the first row of `pool` that has this cosine). `floor`: a float32 product below this value is
    certainly below the threshold. `slack`: see `_slack`. `room`: memory for intermediate results, which is
    overwritten."""
    import numpy as np

    best: dict[int, tuple[float, int]] = {}
    for start in range(0, len(pool), COLUMNS):
        columns = pool[start : start + COLUMNS]
        product = np.matmul(block, columns.T, out=room[: len(block), : len(columns)])
        top = product.max(axis=1)
        near = np.flatnonzero(top >= floor)
        if not len(near):
            continue
        # Only the pairs that can have a row's largest cosine are compared exactly.
        need = np.maximum(top[near] - np.float32(2 * slack), floor)
        left, right = np.nonzero(product[near] >= need[:, None])
        left = near[left]
        for at in range(0, len(left), PAIRS):
            ours, theirs = left[at : at + PAIRS], right[at : at + PAIRS] + start
            for i, j, cosine in zip(
                ours.tolist(), theirs.tolist(), cosines(block[ours], pool[theirs]).tolist(), strict=True
            ):
                if i not in best or cosine > best[i][0]:  # columns ascend: the first of equal cosines stays
                    best[i] = (cosine, j)
    return best


def _slack(rows: Matrix) -> float:
    """Return the largest possible difference between a float32 product of two of these rows and their cosine. It is due to
    rounding and to lengths that are not exactly 1."""
    import numpy as np

    if not len(rows):
        return 0.0
    off = float(np.abs(np.sqrt(np.einsum("ij,ij->i", rows, rows)) - 1).max())
    if not off < 1e-2:
        raise ValueError("vectors must be unit rows")
    return rows.shape[1] * 2.0**-23 + 3 * off + 1e-6


def _first_of_equal_rows(rows: Matrix) -> list[int]:
    """Return the index of the first of each set of identical rows, since copies would only multiply the comparisons."""
    seen: dict[bytes, int] = {}
    for i, row in enumerate(rows):
        seen.setdefault(row.tobytes(), i)
    return list(seen.values())


def _rank(score: float | None) -> float:
    return float("inf") if score is None else -score
