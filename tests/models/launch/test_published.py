"""A server that is a job of its own: it publishes where it listens, and ends when it is told, unwanted or replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gra import server_addresses
from gra.errors import EXIT_PREEMPTED, ConfigError, ServerError
from gra.machine import requested
from gra.models.launch import published
from gra.models.pool import check_pool
from gra.models.served import served
from gra.server_addresses import LEFT, UP, Address
from gra.server_jobs import Served, ServerTask

SIMULATED = [sys.executable, "-m", "gra.simulation.server", "--port", "{port}", "--models", "{model}"]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "LOOK_S", 0.1)
    monkeypatch.setattr(published, "BEAT_S", 0.1)


def config(command: Any = SIMULATED, **serve: Any) -> dict[str, Any]:
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "models": ["slm-a", "slm-b"],
        "serve": {"command": command, "stop_timeout_s": 1, **serve},
    }
    return {"pool": pool, "runtime": {"startup_wait_s": 60, "concurrency": 3}}


def offered(**serve: Any) -> Served:
    found = of(config(**serve))
    assert found is not None
    return found


def of(given: dict[str, Any]) -> Served | None:
    return served(given["pool"], given["runtime"], ["slm-a", "slm-b"], lambda p, r: {"pool": p, "runtime": r})


def task(folder: Path, wanted: Callable[[], bool], number: int = 1, **own: Any) -> ServerTask:
    given: dict[str, Any] = {"host": "127.0.0.1", "job": "7_1", "attempt": 1, **own}
    return ServerTask(number, folder / "addresses", logs=folder, wanted=wanted, **given)


def address(folder: Path, number: int = 1) -> Address | None:
    return server_addresses.read(folder / "addresses", number)


def test_it_is_published_while_it_is_up_and_left_when_nobody_wants_it(tmp_path: Path) -> None:
    beats: set[float] = set()

    def wanted() -> bool:
        there = address(tmp_path)
        beats.update([there.beat] if there is not None else [])
        return len(beats) < 3

    assert offered().serve(task(tmp_path, wanted)) == 0
    left = address(tmp_path)
    assert left is not None
    assert (left.model, left.state, left.job) == ("slm-b", LEFT, "7_1")  # task 1 of two models
    assert len(beats) == 3
    assert "simulated models on" in (tmp_path / "1-slm-b.log").read_text()


def test_replicas_come_after_the_last_model(tmp_path: Path) -> None:
    names = []
    for number in range(4):
        place = tmp_path / str(number)
        offered().serve(task(place, lambda at=place, n=number: address(at, n) is None, number))  # type: ignore[misc]
        found = address(place, number)
        assert found is not None
        names.append(found.model)
    assert names == ["slm-a", "slm-b", "slm-a", "slm-b"]


def test_it_ends_when_another_start_of_its_task_is_published(tmp_path: Path) -> None:
    """A task that Slurm believed dead and started again elsewhere."""

    def wanted() -> bool:
        there = address(tmp_path)
        if there is not None:
            other = replace(there, attempt=2, url="http://elsewhere:1/v1")
            server_addresses.write(tmp_path / "addresses", 1, other)
        return True

    assert offered().serve(task(tmp_path, wanted)) == 0
    there = address(tmp_path)
    assert there is not None
    assert (there.url, there.state) == ("http://elsewhere:1/v1", UP)  # not taken back by the one that ends


def test_a_server_that_other_nodes_cannot_call_is_not_published(tmp_path: Path) -> None:
    """It listens on 127.0.0.1 alone; 127.0.0.2 stands for the name of the node."""
    with pytest.raises(
        ServerError, match=r"answers on this node, but not at http://127\.0\.0\.2:(.|\n)*--host 0\.0\.0\.0"
    ):
        offered().serve(task(tmp_path, lambda: True, host="127.0.0.2"))
    there = address(tmp_path)
    assert there is None or there.state == LEFT


def test_a_command_that_fails_is_reported_and_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="exited with code 1 before it was healthy"):
        offered(command=[sys.executable, "-c", "raise SystemExit(1)  # {port}"]).serve(task(tmp_path, lambda: True))
    with pytest.raises(ConfigError, match="no such command: no-such-server"):
        offered(command="no-such-server {port}").serve(task(tmp_path, lambda: True))
    there = address(tmp_path)
    assert there is None or there.state == LEFT


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it_and_its_server(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "serve.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[str(Path(__file__).parent)]!r}
            from pathlib import Path
            from test_published import offered, task
            command = [*{SIMULATED!r}, "--world-seed", "4711"]
            sys.exit(offered(command=command).serve(task(Path({str(tmp_path)!r}), lambda: True)))
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(script)], env={**os.environ})
    end = time.monotonic() + 30
    while (there := address(tmp_path)) is None:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    port = there.url.split(":")[2].removesuffix("/v1")
    process.send_signal(number)
    code = process.wait(20)
    while any(port in (p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < end
        time.sleep(0.05)
    there = address(tmp_path)
    assert there is not None
    if number == signal.SIGKILL:
        assert (code, there.state) == (-number, UP)  # an old beat and a dead port tell the clients
    else:
        assert (code, there.state) == (EXIT_PREEMPTED, LEFT)


def test_clients_look_for_addresses_and_need_neither_command_nor_gpus(tmp_path: Path) -> None:
    client = offered(command="no-such-server {port}", gpus_per_model=4).client(tmp_path, 900.0)
    assert client["runtime"] == {"startup_wait_s": 900.0, "give_up_after_s": 900.0, "concurrency": 3}
    assert client["pool"]["addresses"] == str(tmp_path)
    assert check_pool(client["pool"], client["runtime"]) == []


def test_gpus_are_those_of_one_server_where_each_has_a_job() -> None:
    pool = config(gpus_per_model={"slm-a": 2, "slm-b": 1})["pool"]
    with requested(2, "cluster.stages.probe"):
        (alone,) = check_pool(pool, {})
    assert alone.message == "3 GPUs are needed, 2 are requested"
    assert alone.remedy.startswith(
        "request more: cluster.stages.probe.gpus, give each server a job of its own: cluster.stages.probe.servers, lower "
    )
    with requested(2, "cluster.stages.probe.servers", one_server_each=True):
        assert check_pool(pool, {}) == []
    with requested(1, "cluster.stages.probe.servers", one_server_each=True):
        (apart,) = check_pool(pool, {})
    assert apart.message == "2 GPUs are needed, 1 are requested"
    assert apart.remedy.startswith("request more: cluster.stages.probe.servers.gpus, lower ")


def test_pools_without_servers_of_their_own_or_in_turn_are_not_served() -> None:
    given = config()
    turns = {**given["pool"], "_target_": "gra.models.time_sharing.servers.connect"}
    elsewhere = {**given["pool"], "serve": None, "base_url": "http://h/v1"}
    assert [of({**given, "pool": pool}) for pool in (turns, elsewhere)] == [None, None]
