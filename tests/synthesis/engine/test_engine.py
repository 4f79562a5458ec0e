"""The engine and the journal: order, bounds, replay, faults, and what a kill leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import RECORDS, ROLES, Scripted, good_reply

from gra.errors import Interrupted, ServerError, StoreError
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.identity import served_as
from gra.synthesis.committee.calls import Call, Protocol, Rules
from gra.synthesis.committee.protocol import Proposal, propose
from gra.synthesis.committee.records import Outcome
from gra.synthesis.engine.engine import AHEAD, Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.journal_read import read_calls
from gra.synthesis.settings import SynthesisSettings

RULES = Rules(0, SynthesisSettings())


def proposals(count: int | None = None) -> Iterator[Protocol]:
    for i in itertools.count() if count is None else range(count):
        yield propose(Proposal(f"r1-{i:06d}", 1, i, "coding", RECORDS, ROLES), RULES)


def collect(backend: Scripted, path: Path, concurrency: int, count: int = 40) -> list[Outcome]:
    async def main() -> list[Outcome]:
        with Journal(path) as journal:
            return [o async for o in Engine(backend, journal, concurrency).stream(proposals(count))]

    return asyncio.run(main())


def test_outcomes_are_the_same_and_in_order_at_any_concurrency(tmp_path: Path) -> None:
    one = collect(Scripted(), tmp_path / "1.sqlite", 1)
    backend = Scripted(jitter=0.005)
    many = collect(backend, tmp_path / "64.sqlite", 64)
    assert one == many
    assert [o.index for o in many] == list(range(40))
    assert 30 < backend.peak <= 64


def test_a_second_run_is_answered_by_the_journal_and_a_changed_parser_pays_nothing(tmp_path: Path) -> None:
    first = Scripted()
    outcomes = collect(first, tmp_path / "j.sqlite", 8)
    second = Scripted()
    assert collect(second, tmp_path / "j.sqlite", 8) == outcomes
    assert second.calls == 0
    assert first.calls == sum(len(o.calls) for o in outcomes)


@pytest.mark.parametrize("stop", [False, True])
def test_what_lies_beyond_the_journal_waits_for_it_and_ends_with_its_reader(tmp_path: Path, stop: bool) -> None:
    """Ten talks are in the journal, the reader wants no more: those begun beyond ask nothing, and hold nobody up."""
    collect(Scripted(), tmp_path / "j.sqlite", 8, count=10)
    backend = Scripted()

    async def main() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            engine = Engine(backend, journal, 8)
            stream = engine.stream(proposals())
            for index in range(10):
                assert (await anext(stream)).index == index
                await asyncio.sleep(0.01)  # the reader is busy, as it is while duplicates are looked for
            if stop:
                engine.stop()
            await asyncio.wait_for(stream.aclose(), 20)

    asyncio.run(main())
    assert backend.calls == 0


def test_the_journal_holds_every_call_word_for_word(tmp_path: Path) -> None:
    outcome = collect(Scripted(), tmp_path / "j.sqlite", 4, count=3)[1]
    calls = list(read_calls(tmp_path / "j.sqlite", outcome.id))
    assert {c["key"] for c in calls} == {c.key for c in outcome.calls}
    assert all(c["request"]["messages"][0]["role"] == "system" for c in calls)
    assert any(outcome.instruction in c["text"] for c in calls)
    assert not (tmp_path / "j.sqlite-wal").exists()  # one file, fit to be moved


def test_a_slow_reply_holds_back_only_its_own_sample(tmp_path: Path) -> None:
    class OneSlow(Scripted):
        async def chat(self, request: Request) -> Reply:
            if self.calls == 0:
                self.calls += 1
                await release.wait()
            return await super().chat(request)

    async def main() -> int:
        with Journal(tmp_path / "j.sqlite") as journal:
            stream = Engine(backend, journal, 4).stream(proposals())
            first = asyncio.ensure_future(anext(stream))
            while backend.in_flight or backend.calls < 100:
                await asyncio.sleep(0.01)
                if backend.calls > 200:
                    break
            assert not first.done()
            bound = backend.calls
            release.set()
            await first
            await stream.aclose()
            return bound

    release = asyncio.Event()
    backend = OneSlow()
    assert asyncio.run(main()) <= 4 * AHEAD * 10  # and it does not run away: at most AHEAD x concurrency samples wait


def test_a_dead_server_ends_the_run_at_once_and_keeps_what_was_answered(tmp_path: Path) -> None:
    class Dying(Scripted):
        async def chat(self, request: Request) -> Reply:
            if self.calls >= 50:
                raise ServerError("http://127.0.0.1:1 (model m1): connection refused")
            return await super().chat(request)

    with pytest.raises(ServerError, match="connection refused"):
        collect(Dying(jitter=0.001), tmp_path / "j.sqlite", 8)
    again = Scripted()
    whole = collect(again, tmp_path / "j.sqlite", 8)
    total = sum(len(o.calls) for o in whole)
    assert total - 50 <= again.calls <= total - 50 + 8  # repeated: at most what was in flight


def test_closing_early_cancels_what_is_in_flight(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            stream = Engine(backend, journal, 16).stream(proposals())
            async for outcome in stream:
                if outcome.index == 5:
                    break
            await stream.aclose()
            assert backend.in_flight == 0

    backend = Scripted(jitter=0.002)
    asyncio.run(main())


def test_allowed_bounds_what_is_started(tmp_path: Path) -> None:
    async def main() -> int:
        with Journal(tmp_path / "j.sqlite") as journal:
            stream = Engine(backend, journal, 64).stream(proposals(), allowed=lambda yielded: yielded + 2)
            results = [await anext(stream) for _ in range(10)]
            await stream.aclose()
            return len(results)

    backend = Scripted()
    assert asyncio.run(main()) == 10
    assert backend.calls <= 12 * 10


def test_replies_of_another_run_are_not_paid_twice(tmp_path: Path) -> None:
    first = collect(Scripted(), tmp_path / "old.sqlite", 8)
    backend = Scripted()

    async def main() -> list[Outcome]:
        with Journal(tmp_path / "new.sqlite", [tmp_path / "old.sqlite"]) as journal:
            return [o async for o in Engine(backend, journal, 8).stream(proposals(40))]

    assert asyncio.run(main()) == first
    assert backend.calls == 0
    again = Scripted()
    assert collect(again, tmp_path / "new.sqlite", 8) == first  # taken over, so the new journal is complete by itself
    assert again.calls == 0


def test_calls_that_wait_for_their_model_leave_the_slots_to_others(tmp_path: Path) -> None:
    async def main() -> tuple[float, float]:
        class TwoSpeeds(Backend):
            models, simulated, capabilities = ("slow", "quick"), True, Capabilities(per_model=1)

            async def chat(self, request: Request) -> Reply:
                await asyncio.sleep(0.2 if request.model == "slow" else 0.001)
                return Reply("x")

        def call(model: str, seed: int) -> Call:
            return Call("s", "keywords", "generator", 0, Request(model, (), 0.0, 1.0, 1, seed))

        with Journal(tmp_path / "j.sqlite") as journal:
            engine = Engine(TwoSpeeds(), journal, 2)
            begun = time.monotonic()
            slow = [asyncio.ensure_future(engine.ask(call("slow", i))) for i in range(4)]
            await asyncio.gather(*(engine.ask(call("quick", i)) for i in range(20)))
            quick = time.monotonic() - begun
            await asyncio.gather(*slow)
            return quick, time.monotonic() - begun

    quick, whole = asyncio.run(main())
    assert quick < whole / 2


def test_a_run_may_read_the_journal_of_one_that_is_under_way(tmp_path: Path) -> None:
    ask = Call("s", "keywords", "generator", 0, Request("m", ({"role": "user", "content": "x"},), 0.0, 1.0, 1, 0))
    with sqlite3.connect(tmp_path / "begun.sqlite") as begun:
        begun.execute("PRAGMA journal_mode=WAL")  # killed before it had its table
    with Journal(tmp_path / "first.sqlite") as first:
        first.record(ask, Reply("one"), 0.0)
        while first._fresh:  # until it is on disk
            time.sleep(0.01)
        second = Journal(tmp_path / "second.sqlite", [tmp_path / "begun.sqlite", tmp_path / "first.sqlite"])
        second.__enter__()
        assert second.find(ask) == Reply("one")
    assert second.find(ask) == Reply("one")  # the first has ended meanwhile, and without a fault
    second.__exit__(None, None, None)
    assert [call["text"] for call in read_calls(tmp_path / "first.sqlite", "s")] == ["one"]
    assert [call["text"] for call in read_calls(tmp_path / "second.sqlite", "s")] == ["one"]


def test_stopping_waits_for_what_is_in_flight_and_records_it(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            engine = Engine(backend, journal, 8)
            async for outcome in engine.stream(proposals()):
                if outcome.index == 3:
                    engine.stop()

    backend = Scripted(jitter=0.01)
    with pytest.raises(Interrupted):
        asyncio.run(main())
    assert backend.in_flight == 0
    rows = sqlite3.connect(tmp_path / "j.sqlite").execute("SELECT count(*) FROM calls").fetchone()[0]
    assert rows == backend.calls  # nothing that was paid for is lost


def test_halves_of_surrogate_pairs_do_no_harm(tmp_path: Path) -> None:
    def broken(request: Request) -> str:
        if request.schema_name == "instruction":
            return '{"instruction": "Say \\ud800 twice."}'
        return good_reply(request) + ("\ud83d" if request.schema is None else "")

    outcomes = collect(Scripted(broken), tmp_path / "j.sqlite", 4, count=5)
    assert all(o.instruction == "Say \ufffd twice." for o in outcomes)
    assert any("\ufffd" in o.response for o in outcomes)


def test_a_fault_while_writing_reaches_the_caller(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        ask = Call("s", "keywords", "generator", 0, Request("m", ({"role": "user", "content": "x"},), 0.0, 1.0, 1, 0))
        with Journal(path) as journal:
            journal._writer.execute("PRAGMA query_only=ON")  # as a disk that turns read-only
            journal.record(ask, Reply("x"), 0.0)

    with pytest.raises(StoreError, match=r"same command again"):
        fill(tmp_path / "j.sqlite")


def test_a_fault_of_the_commits_is_raised_whatever_it_is(tmp_path: Path) -> None:
    ask = Call("s", "keywords", "generator", 0, Request("m", ({"role": "user", "content": "x"},), 0.0, 1.0, 1, 0))
    with pytest.raises(StoreError, match=r"surrogates"), Journal(tmp_path / "j.sqlite") as journal:
        # what no file can hold; the engine cleans what servers send
        journal.record(ask, Reply("x", finish="\ud800"), 0.0)
    odd = Scripted(lambda request: Reply(good_reply(request), finish="\ud800"))
    assert len(collect(odd, tmp_path / "k.sqlite", 4, count=5)) == 5
    assert sqlite3.connect(tmp_path / "k.sqlite").execute("SELECT count(*) FROM calls").fetchone()[0] == odd.calls


def test_a_reply_that_was_altered_on_disk_is_asked_for_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "j.sqlite"
    whole = collect(Scripted(), path, 8)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE calls SET text = 'Z' || substr(text, 2) WHERE id = 7")
    backend = Scripted()
    assert collect(backend, path, 8) == whole
    assert backend.calls == 1
    assert "was altered on disk" in caplog.text
    again = Scripted()
    assert collect(again, path, 8) == whole
    assert again.calls == 0


def test_another_model_behind_the_same_name_is_asked_anew() -> None:
    pool = {
        "_target_": "x",
        "models": ["a", {"name": "b", "model": "weights", "parameters": 8}],
        "base_url": "http://x/v1",
    }
    first = served_as(pool)
    elsewhere = {"base_url": "http://y/v1", "energy": {"pue": 1.1}, "models": ["a", {"name": "b", "model": "weights"}]}
    assert served_as({**pool, **elsewhere}) == first
    for change in (
        {"extra_body": {"top_k": 1}},
        {"send_seed": False},
        {"strip_think": False},
        {"a_key_of_a_backend_to_come": 1},
        {"models": [{"name": "a", "model": "other"}, {"name": "b", "model": "others"}]},
        {"models": [{"name": "a", "revision": "1"}, {"name": "b", "model": "weights", "system_role": False}]},
    ):
        other = served_as({**pool, **change})
        assert other.keys() == first.keys()
        assert not set(other.values()) & set(first.values())
    requests = [Request("a", (), 0.0, 1.0, 1, 0, served=served) for served in ("", *first.values())]
    assert len({request.key for request in requests}) == 3


def test_requests_are_keyed_by_all_that_matters_and_nothing_else() -> None:
    talk = ({"role": "user", "content": "x"},), ({"role": "user", "content": "y"},)
    base = {"model": "m", "messages": talk[0], "temperature": 0.0, "top_p": 1.0, "max_tokens": 9, "seed": 1}
    key = Request(**base).key
    assert Request(**base, schema_name="review").key == key
    changes = {"model": "n", "messages": talk[1], "temperature": 0.1, "top_p": 0.9, "max_tokens": 8, "seed": 2}
    assert len({key, *(Request(**{**base, name: value}).key for name, value in changes.items())}) == 7
    assert Request(**base, schema={"type": "object"}).key != key


def test_group_commit_makes_one_row_a_call(tmp_path: Path) -> None:
    outcomes = collect(Scripted(good_reply), tmp_path / "j.sqlite", 32, count=20)
    rows = sqlite3.connect(tmp_path / "j.sqlite").execute("SELECT count(*) FROM calls").fetchone()[0]
    assert rows == sum(len(o.calls) for o in outcomes)
