"""A synthesis in shards, as jobs run it: the same data, every call paid for once, and nothing started where nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_server import Counting, counting
from test_first_steps import config, data, in_folder

from gra.chain.execution.runner import run_in_folder
from gra.chain.stage import Stage, load_stage
from gra.chain.step import Source, Spec
from gra.chain.store.manifest import outside_hash
from gra.errors import GraError, StoreError
from gra.parts import Part
from gra.simulation import world_stage


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with counting() as found:
        yield found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 30, "test_per_task": 3}}, {}, folder)
    return folder


@pytest.fixture(scope="module")
def stage() -> Stage:
    return load_stage("gra.synthesis.stage.run")


def made(part: Part) -> Path:
    hashes = {name: outside_hash(folder) for name, folder in part.inputs.items()}
    return run_in_folder(load_stage(part.target), part.config, part.inputs, hashes, part.output).folder


def test_waves_give_the_data_of_one_run_and_pay_for_each_call_once(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    given = config(server, world, rounds=2)
    server.taken()
    in_folder(stage, given, tmp_path / "one")
    one = server.taken()
    out = tmp_path / "many"
    assert stage.divide is not None
    waves, gathering = stage.divide(given, out, 3)
    assert [wave.name for wave in waves] == ["round-0", "merge-0", "round-1", "merge-1", "round-2"]
    asked = 0
    for wave in waves:
        for task in range(wave.tasks):
            if (wave.name, task) == ("round-1", 1):  # it breaks off, and its journal is closed
                server.budget = 15
                with pytest.raises(GraError, match="out of credit"):
                    made(wave.part(task))
                server.budget = None
            elif (wave.name, task) != ("round-0", 2):  # this one never ran: the merge asks instead
                made(wave.part(task))
        asked += server.taken()
        if wave.name == "round-1":
            assert made(wave.part(0)).name == "shard-0-of-3"  # again: it is finished
            with pytest.raises(
                StoreError, match=r"divided into 3 shards, not 4\n    -> run the other shards as shard=i/3"
            ):
                made(stage.divide(given, out, 4)[0][2].part(0))
            assert server.taken() == 0
    in_folder(stage, gathering, out)
    asked += server.taken()
    assert data(out) == data(tmp_path / "one")
    assert asked <= 2 * one  # spare proposals; those that broke off were asked by nobody else
    for wave in waves:  # the whole is finished: no shard and no merge starts, whatever is asked for
        for task in range(wave.tasks):
            assert made(wave.part(task)) in (out, wave.part(task).output)
    assert made(stage.divide(given, out, 7)[0][2].part(6)) == out
    assert server.taken() == 0
    other = {**given, "synthesis": {**given["synthesis"], "tau": 3}}
    with pytest.raises(StoreError, match="another configuration"):
        made(stage.divide(other, out, 7)[0][2].part(6))


def test_round_index_and_count_are_part_of_a_shards_identity(
    stage: Stage, server: Counting, world: Path, tmp_path: Path
) -> None:
    from gra.chain.execution.runner import identify
    from gra.chain.store.fingerprint import fingerprint

    assert stage.divide is not None
    given = config(server, world, rounds=2)
    parts = [
        wave.part(task)
        for count in (2, 3)
        for wave in stage.divide(given, tmp_path / "x", count)[0]
        if not wave.gathers
        for task in range(count)
    ]
    assert len({fingerprint(identify(load_stage(part.target), part.config, {})) for part in parts}) == len(parts) == 15
    plain = fingerprint(identify(stage, given, {}))
    # the run's own is unmoved
    assert fingerprint(identify(stage, stage.divide(given, tmp_path / "x", 2)[1], {})) == plain


def test_a_missing_input_names_the_step_that_did_not_finish(tmp_path: Path) -> None:
    spec = Spec("gra/model", "x.run", {}, {"data": Source("gra/data", "synthesis", "0" * 64)}, {}, tmp_path, "1" * 64)
    spec.write(tmp_path / "spec.json")
    read: Any = Spec.read(tmp_path / "spec.json")
    assert read == spec
    with pytest.raises(StoreError, match=r"upstream gra/data did not finish"):
        read.folders()
