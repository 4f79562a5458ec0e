"""Shared by all tests: no test reaches a network other than this machine's, and helpers beside a test can be imported."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
# for tests of real models (real_weights.py)
os.environ.setdefault("GRA_CALLERS_CACHE", os.environ.get("GRA_CACHE", ""))
os.environ["GRA_CACHE"] = "off"  # no test writes to the home of whoever runs it
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
from tiny_models import save_tiny_chat_model

settings.register_profile("gra", deadline=None)  # a busy machine is not the code's fault
settings.load_profile("gra")


@pytest.fixture(autouse=True)
def signals_left_as_found() -> Iterator[None]:
    """What a test starts later inherits ignored signals, and then cannot be ended."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == before, "a signal's handler was not restored"


@pytest.fixture(scope="session")
def tiny_chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random chat model (0.1 M parameters): real formats, meaningless words."""
    return save_tiny_chat_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_chat_model`, but without a chat template."""
    return save_tiny_chat_model(tmp_path_factory.mktemp("models") / "bare", template=False)


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine that nothing listens on just now."""
    return find_port()


def find_port() -> int:
    """As `free_port`, for fixtures of a wider scope."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class ServedModel:
    """A running OpenAI-compatible server: `base_url` up to /v1, and the id of its model."""

    base_url: str
    model: str


@pytest.fixture(scope="session")
def transformers_serve(tiny_chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """`transformers serve` on the tiny model. It takes a JSON schema and silently ignores it, and answers words at random.

    Its list of models is of the hub cache (an empty folder here), so it does not list the model; the id is the folder.
    """
    home = tmp_path_factory.mktemp("hf_home")
    (home / "hub").mkdir()
    port = find_port()
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = os.environ | {
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    log = home / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--device", "cpu"], env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"transformers serve did not come up:\n{log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.3)
        yield ServedModel(f"http://127.0.0.1:{port}/v1", str(tiny_chat_model))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: with `--dist loadfile --no-loadscope-reorder` no worker is left with a long file at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
