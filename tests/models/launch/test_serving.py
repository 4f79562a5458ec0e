"""Servers that are started here: real processes, awaited, restarted, and gone after every way to end a run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.launch import guard
from gra.models.managed import StartedServers
from gra.models.openai import backend as openai_server

SIMULATED = [sys.executable, "-m", "gra.simulation.server", "--port", "{port}", "--models", "{model}"]


def pool(command: Any = SIMULATED, models: Any = ("slm-a",), **serve: Any) -> dict[str, Any]:
    return {
        "_target_": "gra.models.openai.backend.connect",
        "models": list(models),
        "serve": {"command": command, **serve},
    }


def connect(config: dict[str, Any], folder: Path, **runtime: Any) -> StartedServers:
    backend = openai_server.connect(config, {"log_folder": str(folder), **runtime})
    assert isinstance(backend, StartedServers)
    return backend


def ask(text: str = "Hi", model: str = "slm-a", seed: int = 1) -> Request:
    return Request(model, ({"role": "user", "content": text},), 0.7, 0.9, 50, seed)


def processes(mark: str) -> list[psutil.Process]:
    """Living processes with `mark` among the words of their command."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            mark in word for word in process.info["cmdline"] or ()
        ):
            found.append(process)
    return found


def server_at(port: int) -> psutil.Process:
    """The server itself, not its guard, whose command holds the server's."""
    (found,) = [
        p for p in processes("gra.simulation.server") if str(port) in p.cmdline() and guard.__file__ not in p.cmdline()
    ]
    return found


def gone(mark: str, seconds: float = 10.0) -> bool:
    return eventually(lambda: not [p for p in processes(mark) if p.pid != os.getpid()], seconds)


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_started_asked_logged_and_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        async with connect(pool(models=("slm-a", "slm-b")), tmp_path) as backend:
            replies = await asyncio.gather(*(backend.chat(ask(model=m)) for m in ("slm-a", "slm-b")))
            assert all(reply.text for reply in replies)
            assert backend.simulated  # the server says so, whatever the config does
            urls.extend(server.url for server in backend._servers)
        assert backend.account()["server_starts"] == {"slm-a": 1, "slm-b": 1}

    urls: list[str] = []
    asyncio.run(run())
    assert len(set(urls)) == 2
    for url in urls:
        port = url.split(":")[2].removesuffix("/v1")
        assert not [p for p in processes("gra.simulation.server") if port in p.cmdline()]
    assert "simulated models on" in (tmp_path / "slm-b.log").read_text()


def test_a_server_that_dies_is_restarted_and_calls_go_on(tmp_path: Path) -> None:
    async def run() -> list[Reply]:
        slow = [*SIMULATED, "--latency", "0.3"]
        async with connect(pool(slow, restarts=2), tmp_path) as backend:
            calls = [asyncio.create_task(backend.chat(ask(seed=i))) for i in range(8)]
            await asyncio.sleep(0.1)
            server_at(backend._servers[0].port).kill()
            replies = await asyncio.gather(*calls)
            assert backend._servers[0].starts == 2
            return replies

    assert all(reply.text and not reply.error for reply in asyncio.run(run()))


def test_a_server_that_dies_too_often_ends_the_run_at_once(tmp_path: Path) -> None:
    """Callers are told at once, not after their own retries."""

    async def run() -> None:
        slow = [*SIMULATED, "--latency", "60"]
        async with connect(pool(slow, restarts=0), tmp_path) as backend:
            call = asyncio.create_task(backend.chat(ask()))
            await asyncio.sleep(0.2)
            server_at(backend._servers[0].port).kill()
            with pytest.raises(ServerError, match=r"exited with code 137 after 0 restarts(.|\n)*slm-a\.log"):
                await asyncio.wait_for(call, 10)
            with pytest.raises(ServerError, match="exited with code 137"):
                await backend.chat(ask())

    asyncio.run(run())


FAILING = [
    (
        ["-c", "import time; print('loading', flush=True); time.sleep(60)  # {port}"],
        "did not answer GET /health within",
        "loading",
    ),
    (["-c", "raise SystemExit('no CUDA device for {port}')"], "exited with code 1 before", "no CUDA device for "),
]


@pytest.mark.parametrize(("words", "what", "last"), FAILING)
def test_a_server_that_never_gets_healthy(tmp_path: Path, words: list[str], what: str, last: str) -> None:
    async def run() -> None:
        async with connect(pool([sys.executable, *words], start_timeout_s=1), tmp_path):
            pytest.fail("it cannot have started")

    with pytest.raises(ServerError) as caught:
        asyncio.run(run())
    text = str(caught.value)
    for part in (what, last, str(tmp_path / "slm-a.log"), sys.executable, "pool.serve"):
        assert part in text
    assert gone("print('loading'")


def test_one_failing_server_leaves_no_other(tmp_path: Path) -> None:
    script = "import sys, runpy\nif '{name}' == 'bad': sys.exit(3)\nsys.argv = ['s', '--port', '{port}']  # one-bad\n"
    command = [sys.executable, "-c", script + "runpy.run_module('gra.simulation.server', run_name='__main__')"]

    async def run() -> None:
        async with connect(pool(command, models=({"name": "slm-a"}, {"name": "bad", "model": "slm-b"})), tmp_path):
            pytest.fail("it cannot have started")

    with pytest.raises(ServerError, match="model `bad`: its server exited with code 3"):
        asyncio.run(run())
    assert gone("# one-bad")


PARENT = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and what they start, ignore it
from gra.models.openai import backend as openai_server
async def run():
    pool = {"_target_": "-", "models": ["slm-a"], "serve": {"command": sys.argv[1:], "stop_timeout_s": 1}}
    async with openai_server.connect(pool, {"log_folder": sys.argv[-1]}):
        print("up", flush=True)
        await asyncio.sleep(60)
asyncio.run(run())
"""
# A server with children, one of them in a session of its own, that ignores SIGTERM: what vLLM looks like on a bad day.
STUBBORN = """
import runpy, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for more in (False, True):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)", sys.argv[3]], start_new_session=more)
sys.argv = sys.argv[:3]
runpy.run_module("gra.simulation.server", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, "group"])
def test_nothing_outlives_the_run(tmp_path: Path, number: Any) -> None:
    mark = str(tmp_path / "logs")
    words = [sys.executable, "-c", PARENT, sys.executable, "-c", STUBBORN, "--port", "{port}", mark]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert len(processes(mark)) == 5  # the run, its guard, the server, two children
        if number == "group":
            os.killpg(parent.pid, signal.SIGKILL)
        else:
            parent.send_signal(number)
        parent.wait(45)  # by itself it would end after a minute
    assert gone(mark)


def test_guard_passes_the_exit_code_on(tmp_path: Path) -> None:
    def code(*words: str) -> int:
        with subprocess.Popen(
            [sys.executable, "-I", guard.__file__, "1", *words], stdin=subprocess.PIPE, cwd=tmp_path
        ) as process:
            return process.wait(10)

    assert code("sh", "-c", "exit 7") == 7
    assert code("sh", "-c", "kill -9 $$") == 137
    assert code("no-such-command") == 127


def test_secrets_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret-words")
    command = [
        sys.executable,
        "-c",
        "import os; raise SystemExit('key: ' + os.environ['OPENAI_API_KEY'] + '{port}'[:0])",
    ]

    async def run() -> None:
        async with connect(pool(command), tmp_path):
            pass

    with pytest.raises(ServerError, match=r"key: \*\*\*"):
        asyncio.run(run())


def test_the_whole_command_line_of_a_served_run(tmp_path: Path) -> None:
    """The stage over served models: same data as with the simulated pool in process; starts told in run.json, no process left."""
    from gra.simulation.world_stage import run as world

    world({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, tmp_path / "world")
    common = [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=world",
        f"seeds.path={tmp_path / 'world/seeds/seeds.jsonl'}",
        "seeds.limit=15",
        "synthesis.rounds=1",
        "synthesis.samples_per_round=5",
        "synthesis.dedup.model=hash",
        "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]",
        "pool.simulated=true",
    ]
    command = f"pool.serve={{command:{json.dumps(' '.join([sys.executable, '-m', 'gra.simulation.server', '--port', '{port}']))}}}"
    served = [*common, "pool=servers", "pool.base_url=null", command, f"output={tmp_path / 'served'}"]
    done = subprocess.run(served, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    here = [*common, "pool=simulated", f"output={tmp_path / 'here'}"]
    assert subprocess.run(here, capture_output=True, cwd=tmp_path, check=False).returncode == 0
    for name in ("data/train.parquet", "rejected.parquet"):
        assert (tmp_path / "served" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    account = json.loads((tmp_path / "served" / "run.json").read_text())
    assert account["server_starts"] == dict.fromkeys(("slm-a", "slm-b", "slm-c", "slm-d", "slm-e"), 1)
    assert (tmp_path / "served" / "servers" / "slm-a.log").is_file()


@pytest.mark.slow
def test_transformers_serve(tmp_path: Path, tiny_chat_model: Path) -> None:
    """A real server of another project: a tiny model on CPU."""
    (tmp_path / "hub").mkdir()
    command = f"{sys.executable} -m transformers.cli.transformers serve --host 127.0.0.1 --port {{port}} --device cpu"
    env = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    config = pool(command, models=({"name": "tiny", "model": str(tiny_chat_model)},), env=env, start_timeout_s=120)

    async def run() -> list[Reply]:
        async with connect(config, tmp_path / "logs") as backend:
            assert not backend.simulated
            return await asyncio.gather(*(backend.chat(ask(model="tiny", seed=i)) for i in range(3)))

    assert all(reply.tokens_out and not reply.error for reply in asyncio.run(run()))
    assert not [p for p in psutil.Process().children(recursive=True) if "transformers.cli.transformers" in p.cmdline()]
