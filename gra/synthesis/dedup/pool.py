"""Holds the embeddings of all kept samples (the target pool) and of the new samples of a round (the candidates), and
finds the candidates that are duplicates.

Vectors and matrix products are in a worker process (gra/worker_process.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gra.synthesis.dedup.near_duplicates import DedupSettings
from gra.waiting import reported
from gra.worker_process import WorkerProcess

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gra.embedding.embed import Embedder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unique:
    """Which candidates are kept, and which are dropped as duplicates. Candidates are the new samples of a round.

    Candidates are numbered in the order in which they were added. `kept`: the numbers of the kept candidates, those
    with the best scores first. `dropped`: number of a dropped candidate -> (nearest kept sample, cosine of the two). If
    the nearest kept sample is in the pool, its id is given. If it is a candidate, its number is given.
    """

    kept: list[int]
    dropped: dict[int, tuple[str | int, float]]


class TargetPool:
    """The kept samples, with which new samples are compared to find duplicates (paper, post-processing). This class
    works in the calling process. `TargetPoolProcess` runs it in another process."""

    def __init__(self, settings: DedupSettings, workers: int | None, embedder: Embedder | None = None):
        from gra.embedding.embed import Embedder

        self._settings = settings
        self._embedder = embedder or Embedder(settings.model, workers)
        self._ids: list[str] = []
        self._rows: list[NDArray[np.float32]] = []
        self._candidates: list[NDArray[np.float32]] = []
        self._texts: list[str] = []  # of the candidates

    def start(self) -> None:
        """Start loading the embedder."""
        self._embedder.start()

    def prepare(self, texts: Sequence[str]) -> None:
        """Compute the embeddings of texts in advance, so that a later call of `base` with these texts is faster."""
        self._embedder.embed_sync(texts, keep=True)

    def base(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Add records, such as the seeds, to the pool. Candidates that are too close to one of them will be dropped."""
        self._ids += ids
        self._rows += list(self._embedder.embed_sync(texts, keep=True))

    def add(self, texts: Sequence[str]) -> None:
        """Add candidates, which are new samples of this round, by their texts. They are numbered in the order in which
        they are added."""
        self._candidates += list(self._embedder.embed_sync(texts))
        self._texts += texts

    def unique(self, scores: Sequence[float | None]) -> Unique:
        """Return which candidates are kept, and which are dropped as duplicates. `scores`: the review score of each
        candidate, None if it was not reviewed. If two near-duplicates have equal scores or no scores, the one that was
        added earlier is kept."""
        import numpy as np

        from gra.synthesis.dedup.near_duplicates import greedy

        if not self._candidates:
            return Unique([], {})
        before = np.stack(self._rows) if self._rows else None
        settings = self._settings
        found = greedy(np.stack(self._candidates), scores, before, threshold=settings.threshold, tie=settings.tie)
        nearest = {d.index: (self._ids[d.nearest] if d.in_before else d.nearest, d.cosine) for d in found.dropped}
        return Unique(found.kept, nearest)

    def commit(self, chosen: Sequence[int], ids: Sequence[str]) -> None:
        """End the round: add the `chosen` candidates to the pool, and forget the others. `chosen`: the index of each of
        these candidates (0: the candidate of this round that was added first). `ids`: the ids that they get in the
        pool, in the order of `chosen`. The cache of embeddings keeps the vectors of the chosen candidates, because they
        are used again later, to draw maps of the data set."""
        self._ids += ids
        self._rows += [self._candidates[i] for i in chosen]
        self._embedder.keep([self._texts[i] for i in chosen])
        self._candidates, self._texts = [], []

    def close(self) -> None:
        """End the embedder's processes."""
        self._embedder.close_sync()


class TargetPoolProcess:
    """Runs a `TargetPool` in a separate process, which starts loading the embedder at once. The methods `prepare`,
    `base`, `add` and `commit` do not wait for that process. If one of them fails there, the next call of `unique`
    raises the error."""

    def __init__(self, settings: DedupSettings, workers: int | None = None):
        needs = "about 0.7 GB per worker (runtime.embed_workers) and 1.5 kB per sample"
        self._worker = WorkerProcess("deduplication", needs, TargetPool, settings, workers)
        self._sent: list[Future[Any]] = []
        if settings.model != "hash":
            log.info("loading the embedder %s while the first calls run", settings.model)
        self._send("start")

    def prepare(self, texts: Sequence[str]) -> None:
        self._send("prepare", list(texts))

    def base(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        self._send("base", list(ids), list(texts))

    def add(self, texts: Sequence[str]) -> None:
        self._send("add", list(texts))

    def commit(self, chosen: Sequence[int], ids: Sequence[str]) -> None:
        self._send("commit", list(chosen), list(ids))

    async def unique(self, scores: Sequence[float | None]) -> Unique:
        """Wait until the process has done all its work, then return the result of `TargetPool.unique`. Raises
        SynthesisError if an earlier call failed in the process."""
        answer = self._send("unique", list(scores))
        with reported("waiting for the embedder and the search for duplicates", after_s=4.0):
            for future in self._sent:
                result = await asyncio.wrap_future(future)
        self._sent = []
        assert future is answer
        assert isinstance(result, Unique)
        return result

    def close(self) -> None:
        """End the process. Work that it has not finished is lost."""
        self._worker.close()

    def _send(self, name: str, *arguments: Any) -> Future[Any]:
        future = self._worker.call(name, *arguments)
        self._sent.append(future)
        return future
