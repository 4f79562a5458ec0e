"""Servers that publish their addresses in a folder: which are believed, and what happens when they move, leave or never come."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from misbehaving import serving, well
from test_openai_server import _impatient, ask  # noqa: F401 - an autouse fixture

from gra import server_addresses
from gra.errors import ConfigError, ServerError
from gra.models import found
from gra.models.found import FoundServers
from gra.models.identity import served_as
from gra.models.openai.backend import connect
from gra.models.pool import check_pool
from gra.server_addresses import FRESH_S, LEFT, Address


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "LOOK_S", 0.05)


def pool(folder: Path, **more: Any) -> dict[str, Any]:
    target = "gra.models.openai.backend.connect"
    return {"_target_": target, "models": ["m"], "addresses": str(folder), **more}


def client(folder: Path, **runtime: Any) -> FoundServers:
    made = connect(pool(folder), {"startup_wait_s": 5, **runtime})
    assert isinstance(made, FoundServers)
    return made


def publish(folder: Path, task: int, url: str, job: str = "7_0", attempt: int = 1, model: str = "m") -> None:
    server_addresses.write(folder, task, Address(model, url, job, attempt, 0.0))


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.02)


def test_an_old_file_and_one_that_left_are_not_believed(tmp_path: Path) -> None:
    """The job of an old file died; what answers at its address now is somebody else's server."""

    async def run() -> None:
        async with serving(well("foreign")) as foreign, serving(well("mine")) as mine:
            publish(tmp_path, 0, foreign.url)
            path = tmp_path / "0.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"beat": time.time() - FRESH_S - 1}))
            publish(tmp_path, 1, foreign.url, "7_1")
            left = server_addresses.read(tmp_path, 1)
            assert left is not None
            server_addresses.write(tmp_path, 1, replace(left, state=LEFT))
            publish(tmp_path, 2, mine.url, "7_2")
            publish(tmp_path, 3, foreign.url, "7_3", model="of another step")
            (tmp_path / "4.json").write_text("{")
            async with client(tmp_path) as served:
                assert {(await served.chat(ask(str(i)))).text for i in range(9)} == {"mine"}
        assert not foreign.bodies

    asyncio.run(run())


def test_calls_go_on_at_a_new_address_and_none_is_asked_twice_there(tmp_path: Path) -> None:
    """The server dies without a word, as with a lost node; the next start of its task publishes another address."""

    async def run() -> None:
        async with serving(well("new")) as new:
            async with serving(well("old")) as old:
                publish(tmp_path, 0, old.url)
                served = client(tmp_path, give_up_after_s=20)
                await served.__aenter__()
                assert (await served.chat(ask("first"))).text == "old"
            calls = [asyncio.create_task(served.chat(ask(str(i)))) for i in range(30)]
            await asyncio.sleep(0.5)
            assert not any(call.done() for call in calls)
            publish(tmp_path, 0, new.url, attempt=2)
            assert {reply.text for reply in await asyncio.gather(*calls)} == {"new"}
            assert [server["url"] for server in served.capabilities.servers()] == [new.url]  # type: ignore[misc]
            asked = [request["messages"][-1]["content"] for request in new.bodies]
            assert len([text for text in asked if not text.startswith("Say hello")]) == 30
            await served.__aexit__(None, None, None)

    asyncio.run(run())


def test_a_further_server_shares_the_calls_and_one_that_leaves_gets_no_more(tmp_path: Path) -> None:
    async def texts(served: FoundServers) -> set[str]:
        return {reply.text for reply in await asyncio.gather(*(served.chat(ask(f"{i}")) for i in range(12)))}

    async def run() -> None:
        async with serving(well("a")) as one, serving(well("b")) as two:
            publish(tmp_path, 0, one.url)
            async with client(tmp_path) as served:
                assert await texts(served) == {"a"}
                publish(tmp_path, 1, two.url, "7_1")
                states = served.capabilities.servers
                assert states is not None
                await eventually(lambda: len(states()) == 2)
                assert await texts(served) == {"a", "b"}
                gone = server_addresses.read(tmp_path, 0)
                assert gone is not None
                server_addresses.write(tmp_path, 0, replace(gone, state=LEFT))
                await eventually(lambda: len(states()) == 1)
                assert await texts(served) == {"b"}

    asyncio.run(run())


def test_a_model_whose_servers_are_all_gone_ends_the_run_in_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(well()) as site:
            publish(tmp_path, 0, site.url)
            async with client(tmp_path, give_up_after_s=0.5, startup_wait_s=0.5) as served:
                await served.chat(ask("before"))
                (tmp_path / "0.json").unlink()
                states = served.capabilities.servers
                assert states is not None
                await eventually(lambda: not states())
                with pytest.raises(ServerError, match="no server came back in time"):
                    await asyncio.wait_for(served.chat(ask("after")), 5)

    asyncio.run(run())


def test_no_server_in_time_says_which_and_why(tmp_path: Path, free_tcp_port: int) -> None:
    publish(tmp_path, 0, f"http://127.0.0.1:{free_tcp_port}/v1")

    async def run() -> None:
        async with client(tmp_path, startup_wait_s=0.2):
            pytest.fail("nothing answers")

    with pytest.raises(
        ServerError, match=r"no address of a server of m \(http.*refused\) in .* within 0.2 s\n.*gra submit"
    ):
        asyncio.run(run())


def test_a_file_is_the_users_alone_and_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    folder = server_addresses.folder_of(tmp_path, "synthesis-abc")
    publish(folder, 0, "http://node:20001/v1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "0.json").stat().st_mode) == 0o600
    monkeypatch.setattr("gra.server_addresses.os.getuid", lambda: 4711)
    assert server_addresses.read(folder, 0) is None  # the key would be sent to where another user says
    assert "secret" not in (folder / "0.json").read_text()


def test_where_addresses_are_published_changes_no_reply_and_conflicts_with_urls(tmp_path: Path) -> None:
    there = pool(tmp_path)
    assert served_as(there) == served_as({key: value for key, value in there.items() if key != "addresses"})
    problems = check_pool(pool(tmp_path, base_url="http://h/v1"), {})
    assert [problem.key for problem in problems] == ["pool.base_url"]
    turns = {"_target_": "gra.models.time_sharing.servers.connect", "serve": {"command": "true {port}"}}
    assert [problem.key for problem in check_pool(pool(tmp_path, **turns), {})] == ["pool.addresses"]
    with pytest.raises(ConfigError, match=r"conflicts with pool\.addresses"):
        connect(pool(tmp_path, base_url="http://h/v1"), {})
