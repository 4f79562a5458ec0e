"""After a mistake, with the replies counted where they are paid: at the server. Nothing that was answered is asked twice because a
user followed the advice of a message."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from counting_server import Counting, counting

from gra.chain.config.experiment import Experiment, Step
from gra.chain.execution.plan import make_plan
from gra.chain.execution.plan_report import of_unfinished
from gra.chain.execution.runner import Result, identify, run_in_folder, run_in_store
from gra.chain.stage import Stage, load_stage
from gra.chain.store.fingerprint import fingerprint
from gra.chain.store.store import Store
from gra.errors import GraError, StoreError
from gra.simulation import world_stage

MODELS = ["slm-a", "slm-b", "slm-c", "slm-d", "slm-e"]
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with counting() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_counted(server: Counting) -> None:
    server.budget = None
    server.taken()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 30, "test_per_task": 3}}, {}, folder)
    return folder


@pytest.fixture(scope="module")
def stage() -> Stage:
    return load_stage("gra.synthesis.stage.run")


def config(server: Counting, world: Path, **synthesis: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"path": str(world / "seeds" / "seeds.jsonl"), "limit": 20},
        "pool": {"_target_": "gra.models.openai.backend.connect", "models": MODELS, "base_url": server.url},
        "synthesis": {"rounds": 1, "samples_per_round": 5, "dedup": {"model": "hash"}, **synthesis},
        "runtime": {"concurrency": IN_FLIGHT, "give_up_after_s": 5},
    }


def in_store(stage: Stage, given: dict[str, Any], store: Store, name: str = "gra/data") -> Result:
    return run_in_store(stage, given, {}, {}, store, name, fingerprint(identify(stage, given, {})), experiment="e")


def in_folder(stage: Stage, given: dict[str, Any], output: Path) -> Result:
    return run_in_folder(stage, given, {}, {}, output)


def broken_off(stage: Stage, given: dict[str, Any], output: Path, server: Counting, budget: int) -> None:
    """A run whose server refuses after `budget` calls: what was answered is paid for, and stays in OUTPUT.partial."""
    server.budget = budget
    with pytest.raises(GraError, match="out of credit"):
        in_folder(stage, given, output)
    server.budget = None


def answered_in(told: str) -> int:
    """The answered calls that a text speaks of. The server may have answered more, up to IN_FLIGHT, when the run ended."""
    found = re.search(r"(\d+) answered calls", told)
    assert found is not None, told
    return int(found[1])


def data(folder: Path) -> dict[str, str]:
    names = ("data/train.parquet", "rejected.parquet")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.slow
def test_another_threshold_keeps_the_replies_and_says_what_differs(
    stage: Stage, server: Counting, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict, mild = config(server, world, tau=9.0), config(server, world, tau=6.0)
    server.asked()
    alone = in_folder(stage, mild, tmp_path / "alone").folder
    needed = server.asked()
    server.taken()
    broken_off(stage, strict, tmp_path / "out", server, 40)
    paid, first = server.taken(), server.asked()
    assert paid == 40
    assert len(first & needed) > 2 * IN_FLIGHT
    made = in_folder(stage, mild, tmp_path / "out").folder
    assert len(first & server.asked()) <= IN_FLIGHT  # only what was not recorded yet when the run ended is asked twice
    assert data(made) == data(alone)
    told = capsys.readouterr().err
    answered = answered_in(told)
    assert paid - IN_FLIGHT < answered <= paid
    for expected in ("synthesis.tau: 9.0 -> 6.0", "reused", "sent again because of synthesis.tau"):
        assert expected in told
    (kept,) = tmp_path.glob("out.partial-*")
    shutil.move(made, tmp_path / "done")
    in_folder(stage, strict, tmp_path / "out")  # back: it goes on where it was
    assert not kept.exists()
    whole = json.loads((tmp_path / "out" / "run.json").read_text())
    assert whole["replayed"] >= answered


def test_a_mistake_that_cost_nothing_leaves_no_trace(
    stage: Stage, server: Counting, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_off(stage, config(server, world, tau=9.0), tmp_path / "out", server, 0)
    assert (tmp_path / "out.partial" / "journal.sqlite").exists()
    capsys.readouterr()
    in_folder(stage, config(server, world, tau=6.0), tmp_path / "out")
    assert "another configuration" not in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def benchmarks(folder: Path) -> Path:
    """GSM8K in the hub's schema, with an item that nothing here resembles."""
    path = folder / "gsm8k" / "test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"question": "zebra " * 20, "answer": "quagga " * 20}) + "\n")
    return folder


@pytest.mark.slow
def test_changes_that_ask_nothing_else_buy_nothing(stage: Stage, server: Counting, world: Path, tmp_path: Path) -> None:
    """What messages advise (name the benchmarks, move them, compare with nothing) and thresholds that drop no other sample."""
    store = Store(tmp_path / "store")
    first = in_store(stage, config(server, world), store)
    assert server.taken() > 50
    here, there = benchmarks(tmp_path / "b"), benchmarks(tmp_path / "elsewhere" / "b")
    changes: list[dict[str, Any]] = [
        {"decontaminate": {"data_dir": str(here)}},
        {"decontaminate": {"data_dir": str(there)}},
        {"decontaminate": {"enabled": False}},
        {"delta": 1.50001},
        {"dedup": {"model": "hash", "threshold": 0.99999}},
    ]
    for change in changes:
        made = in_store(stage, config(server, world, **change), store)
        assert server.taken() == 0, change
        assert data(made.folder) == data(first.folder), change
        assert made.reused == (
            change == {"decontaminate": {"data_dir": str(there)}}
        )  # moved: the same content, the same step


@pytest.mark.slow
def test_only_the_same_step_of_the_same_stage_is_looked_at(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    first = in_store(stage, config(server, world), store)
    price = server.taken()
    in_store(stage, config(server, world, delta=1.4), store, "gra-2/data")
    assert server.taken() >= price - 8  # a step of another name is another matter: it asks by itself
    damaged = first.folder / "journal.sqlite"
    damaged.write_bytes(damaged.read_bytes()[:5000])  # what nobody asked for must not stop a run
    in_store(stage, config(server, world, delta=1.3), store)
    assert server.taken() >= price - 8


@pytest.mark.slow
def test_no_reply_is_lost_through_a_chain_of_changes(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    """Broken off in the middle, changed, broken off again: each reply is paid once."""
    store = Store(tmp_path / "store")
    alone = in_folder(stage, config(server, world, tau=6.5), tmp_path / "alone").folder
    price = server.taken()
    for budget, tau in ((30, 6.0), (30, 6.25)):
        server.budget = budget
        with pytest.raises(GraError, match="out of credit"):
            in_store(stage, config(server, world, tau=tau), store)
    server.budget = None
    made = in_store(stage, config(server, world, tau=6.5), store).folder
    assert server.taken() <= price + 12  # calls in flight when the last sample came
    assert data(made) == data(alone)


def planned(stage: Stage, given: dict[str, Any], store: Store) -> tuple[str, str]:
    """The state of the step `gra/data` and what `gra plan` says of it."""
    step = Step("gra/data", "data", "gra", None, stage.target, given, {}, frozenset())
    plan, problems = make_plan(Experiment("e", "E", None, {}, {step.id: step}, []), store)
    assert not problems
    return plan.state(plan.steps[step.id]), "\n".join(of_unfinished(plan))


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.slow
def test_plan_says_what_is_there_what_changed_and_what_it_costs(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    planned_run = partial(
        config, server, world, samples_per_round=12
    )  # 20 proposals at least: rates are taken from no fewer
    state, told = planned(stage, planned_run(), store)
    assert state == "would run"
    assert "since the last run" not in told
    price = re.search(r"price: about ([\d,]+) calls \(([\d,]+) if all proposals are kept, at most ([\d,]+)\)", told)
    assert price is not None, told
    expected, least, most = map(number, price.groups())
    for assumption in (
        "20 seeds",
        "2.5 proposals per kept sample",
        "4 characters per token",
        "85% of the instructions pass",
    ):
        assert assumption in told
    assert all(f"{name} " in told for name in MODELS)

    server.budget = 30
    with pytest.raises(GraError, match="out of credit"):
        in_store(stage, planned_run(), store)
    server.budget = None
    state, told = planned(stage, planned_run(), store)
    answered = answered_in(told)
    assert 30 - IN_FLIGHT < answered <= 30
    assert state == f"partly done ({answered} answered calls)"
    assert f"{answered} answered calls, kept" in told
    assert f"{answered} of these calls are already answered" in told
    state, told = planned(stage, planned_run(tau=7.0, rounds=2), store)
    assert state == "would run"
    for expected_words in (
        "since the last run, not finished",
        f"{answered} answered calls",
        "synthesis.tau: not set -> 7.0",
        "synthesis.rounds: 1 -> 2",
        "sent again because of synthesis.rounds: the new rounds",
        "sent again because of synthesis.tau: in round 1 only new proposals",
    ):
        assert expected_words in told

    made = in_store(stage, planned_run(), store)
    calls = json.loads((made.folder / "stats.json").read_text())["calls"]
    assert least <= calls <= most
    assert calls / 2 <= expected <= calls * 2  # twelve samples: a small run strays far
    state, told = planned(stage, planned_run(tau=7.0), store)
    assert f"as in {made.folder.name}" in told  # rates of the run that was made
    price = re.search(r"price: about ([\d,]+) calls", told)
    assert price is not None
    assert number(price[1]) == pytest.approx(calls, rel=0.15)


def words_after(text: str, name: str) -> list[str]:
    """The words of an advice, as a shell would read them, from the one that begins with `name`."""
    line = next(line for line in text.splitlines() if name in line)
    return shlex.split(line[line.index(name) :].partition(" (")[0])


@pytest.mark.slow
def test_the_advice_of_a_finished_folder_in_the_way_costs_nothing(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    first = in_folder(stage, config(server, world), tmp_path / "it's out").folder
    server.taken()
    second = config(server, world, delta=1.50001)
    with pytest.raises(StoreError, match="delta") as caught:
        in_folder(stage, second, first)
    output, reuse = words_after(str(caught.value), "output=DIR")
    assert output == "output=DIR"
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(reuse)  # as the command line reads it
    second["runtime"]["reuse"] = override.value()
    made = in_folder(stage, second, tmp_path / "other").folder
    assert server.taken() == 0
    assert data(made) == data(first)


@pytest.mark.slow
def test_the_advice_of_a_spoilt_manifest_costs_nothing(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    folder = in_store(stage, config(server, world), store).folder
    server.taken()
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="rename it to") as caught:
        in_store(stage, config(server, world), store)
    found = re.search(r"rename it to (\S+)", str(caught.value))
    assert found is not None
    folder.rename(folder.with_name(found[1]))
    in_store(stage, config(server, world), store)
    assert server.taken() == 0
