"""An OpenAI-compatible server that knows the benchmarks by heart and answers every item, in a wording that its hash chooses.

    python tests/eval/canned_server.py PORT DATA_DIR [--tokenizer FOLDER]

DATA_DIR is a `suite.data_dir`; the name of the model says how it talks: mixed, asked, unasked (canned_wordings.py). Prompts come as
tokens (of FOLDER's tokenizer), as text with the marks of ChatML, or as messages. Stop texts are ignored, as some servers do.
GET /v1/models lists the three; an unknown prompt is answered by HTTP 400 with its text.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from canned_items import items, recognised, reply
from canned_wordings import MODES

_USER, _END = "<|im_start|>user\n", "<|im_end|>"


def last_message(body: dict[str, Any], tokenizer: Any) -> str:
    """What the user said last."""
    if "messages" in body:
        return str([message["content"] for message in body["messages"] if message["role"] == "user"][-1])
    prompt = body["prompt"]
    prompt = prompt[0] if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else prompt
    text = prompt if isinstance(prompt, str) else tokenizer.decode(prompt, skip_special_tokens=False)
    return str(text.rpartition(_USER)[2].partition(_END)[0])


def serve(port: int, folder: Path, tokenizer_folder: Path | None) -> None:
    from aiohttp import web
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json")) if tokenizer_folder else None
    known: dict[str, Any] = {}
    for several in items(folder).values():
        for item in several:
            known.setdefault(item.key, item)

    async def post(request: web.Request) -> web.Response:
        body = await request.json()
        message = last_message(body, tokenizer)
        item = known.get(recognised(message))
        if item is None:
            return web.json_response({"error": {"message": f"no item asks this: {message[-600:]!r}"}}, status=400)
        text = reply(item, message, body["model"])
        choice = {"index": 0, "finish_reason": "stop", "text": text, "message": {"role": "assistant", "content": text}}
        return web.json_response({"choices": [choice]})

    async def listing(_request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name} for name in MODES]})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/completions", post)
    app.router.add_post("/v1/chat/completions", post)
    app.router.add_get("/v1/models", listing)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


@contextmanager
def running(folder: Path, tokenizer: Path | None) -> Iterator[str]:
    """Start it as a child process; its address up to /v1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).resolve()), str(port), str(folder)]
    command += ["--tokenizer", str(tokenizer)] if tokenizer else []
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])})
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the canned server did not come up") from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    given = parser.parse_args()
    serve(given.port, given.folder, given.tokenizer)
