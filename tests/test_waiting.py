"""Every wait for a server or a model is told within seconds, in a log, on bare standard error and through `gra run`."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gra import waiting
from gra.chain.execution import display
from gra.errors import EvalError
from gra.eval.backends import ModelRequest
from gra.eval.backends.server import ServerModel
from gra.eval.settings import Model, Runtime
from gra.waiting import reported


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_S", 0.01)


def until(messages: list[str] | pytest.LogCaptureFixture, words: str) -> None:
    for _ in range(500):
        if words in str(messages.messages if isinstance(messages, pytest.LogCaptureFixture) else messages):
            return
        time.sleep(0.01)
    raise AssertionError(words)


def test_what_is_waited_for_is_said_again_and_again_until_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fault: list[str | None] = [None]
    with reported(lambda: fault[0], every_s=0):
        time.sleep(0.05)
        assert not caplog.messages
        fault[0] = "waiting for server x (connection refused)"
        until(caplog, "waiting for server x (connection refused), 0 s")
        fault[0] = None
    count = len(caplog.messages)
    time.sleep(0.05)
    assert len(caplog.messages) == count


def test_before_there_is_a_log_it_is_said_on_standard_error() -> None:
    code = "import time; from gra import waiting; waiting.LOOK_S = 0.01\nwith waiting.reported('asking the hub'): time.sleep(0.3)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "asking the hub, 0 s\n"
    assert not run.stdout


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_synthesis_says_that_it_loads_the_embedder_and_waits_for_its_server(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(
        "".join(json.dumps({"instruction": f"Name {i} fruits.", "output": "Apple, pear."}) + "\n" for i in range(9))
    )
    url = f"http://127.0.0.1:{closed_port()}/v1"
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "gra.synthesis",
            f"seeds.path={seeds}",
            "pool=servers",
            f"pool.base_url={url}",
            "output=out",
            "pool.models=[a,b,c,d,e]",
            "synthesis.dedup.model=packaged",
            "runtime.startup_wait_s=3",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert f"waiting for server {url} (" in run.stderr
    assert "refused" in run.stderr
    assert "loading the embedder packaged" in run.stderr


def test_an_evaluation_says_that_it_waits_for_its_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt and its body are stand-ins: the server's address is refused before they count."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("gra.eval.backends.server.backoff", lambda _: 0.1)
    url = f"http://127.0.0.1:{closed_port()}/v1"
    server = ServerModel(Model(path="m", backend="server", base_url=url, send="messages"), Runtime(retries=3), None)  # type: ignore[arg-type]
    monkeypatch.setattr(server, "_generation", lambda _: ({}, dict))
    with pytest.raises(EvalError, match="4 attempts"):
        server.answer("generate_until", [[ModelRequest("k", "gsm8k", ("prompt", {}))]], lambda *_: None)
    assert any(f"waiting for server {url} (" in text and "refused" in text for text in caplog.messages)


def test_gra_run_hands_on_what_a_step_waits_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "FIRST_S", 0.05)
    log = tmp_path / "gra-data.log"
    log.write_text("12:00:00 INFO gra: waiting for server http://x (connection refused), 2 s\n")
    start = time.monotonic()
    with display.Display(4) as shown:
        shown.tick({"gra/data": (start, log)})
        time.sleep(0.06)
        for _ in range(5):
            shown.tick({"gra/data": (start, log)})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "s: 12:00:00 INFO gra: waiting for server http://x (connection refused), 2 s" in lines[0]
