"""What new samples may not be too close to, and the candidates of the round: their vectors, and who is a duplicate of whom.

Vectors and matrix products live in a process of their own (helper.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gra.synthesis.dedup import DedupSettings
from gra.synthesis.helper import Helper
from gra.waiting import told

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unique:
    """Candidates by number: `kept`, best score first; `dropped`: number -> (id or number of the nearest one kept, cosine)."""

    kept: list[int]
    dropped: dict[int, tuple[str | int, float]]


class Target:
    """The target pool of the deduplication (paper, post-processing). Not async, no process: see `TargetProcess`."""

    def __init__(self, settings: DedupSettings, runtime: Mapping[str, Any]):
        from gra.synthesis.embed import Embedder

        self._settings = settings
        self._embedder = Embedder(settings, runtime)
        self._ids: list[str] = []
        self._rows: list[NDArray[np.float32]] = []
        self._candidates: list[NDArray[np.float32]] = []

    def start(self) -> None:
        """Begin to load the embedder."""
        self._embedder.start()

    def prepare(self, texts: Sequence[str]) -> None:
        """Embed texts that `base` is likely to be given later on."""
        self._embedder.embed_sync(texts, keep=True)

    def base(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Put records into the pool that count as kept before anything else (the seeds)."""
        self._ids += ids
        self._rows += list(self._embedder.embed_sync(texts, keep=True))

    def add(self, texts: Sequence[str]) -> None:
        """Embed further candidates of this round; they are numbered in the order they come."""
        self._candidates += list(self._embedder.embed_sync(texts))

    def unique(self, scores: Sequence[float | None]) -> Unique:
        """Which candidates stay, highest score first (None: unreviewed; first come, first kept)."""
        import numpy as np

        from gra.synthesis.dedup import greedy

        if not self._candidates:
            return Unique([], {})
        before = np.stack(self._rows) if self._rows else None
        settings = self._settings
        found = greedy(np.stack(self._candidates), scores, before, threshold=settings.threshold, tie=settings.tie)
        nearest = {d.index: (self._ids[d.nearest] if d.in_before else d.nearest, d.cosine) for d in found.dropped}
        return Unique(found.kept, nearest)

    def commit(self, chosen: Sequence[int], ids: Sequence[str]) -> None:
        """Put the `chosen` candidates into the pool under their `ids` and forget the others: the round is over."""
        self._ids += ids
        self._rows += [self._candidates[i] for i in chosen]
        self._candidates = []

    def close(self) -> None:
        """End the embedder's processes."""
        self._embedder.close_sync()


class TargetProcess:
    """A `Target` in a process of its own, whose embedder begins to load at once. `prepare`, `base`, `add` and `commit` are only
    sent, and a fault of theirs is raised by the next `unique`."""

    def __init__(self, settings: DedupSettings, runtime: Mapping[str, Any] | None = None):
        plain = {key: value for key, value in (runtime or {}).items() if key == "embed_workers"}
        needs = "about 0.7 GB a worker (runtime.embed_workers), 1.5 kB a sample"
        self._helper = Helper("deduplication", needs, Target, settings, plain)
        self._sent: list[Future[Any]] = []
        if settings.model != "hash":
            log.info("loading the embedder %s, beside the first calls", settings.model)
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
        """As `Target.unique`, once all that was sent before is done. Raises SynthesisError if any of it failed."""
        answer = self._send("unique", list(scores))
        with told("waiting for the embedder and the search for duplicates", after_s=4.0):
            for future in self._sent:
                result = await asyncio.wrap_future(future)
        self._sent = []
        assert future is answer
        assert isinstance(result, Unique)
        return result

    def close(self) -> None:
        """End the process; what it was still doing is dropped."""
        self._helper.close()

    def _send(self, name: str, *arguments: Any) -> Future[Any]:
        future = self._helper.call(name, *arguments)
        self._sent.append(future)
        return future
