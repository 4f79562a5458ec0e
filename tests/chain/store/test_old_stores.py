"""Steps that were finished before modules were moved and keys were added are still finished: their fingerprints are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from gra import targets
from gra.chain.config.experiment import resolve
from gra.chain.execution.plan import make_plan
from gra.chain.store.fingerprint import hash8
from gra.chain.store.store import Store
from gra.paths import conf_dir

# as planned before the packages were moved
HASHES = json.loads(Path(__file__).with_name("quickstart_hashes.json").read_text())


def planned(tmp_path: Path, *overrides: str) -> dict[str, str]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        root = compose("chain", overrides=["experiment=quickstart", *overrides])
    experiment, faults = resolve(root)
    made, more = make_plan(experiment, Store(tmp_path))
    assert faults + more == []
    return {name: hash8(item.digest or "") for name, item in made.steps.items()}


def test_the_quickstart_of_before_the_move_is_not_run_again(tmp_path: Path) -> None:
    assert planned(tmp_path) == HASHES


def test_a_setting_that_decides_something_still_makes_another_step(tmp_path: Path) -> None:
    other = planned(tmp_path, "synthesis.example_sets=2")
    assert other["gra/data"] != HASHES["gra/data"]
    assert other["world"] == HASHES["world"]


@pytest.mark.parametrize("old", sorted(targets.MOVED))
def test_every_old_path_still_names_its_function(old: str) -> None:
    module, name = targets.module_of(old)
    assert callable(getattr(module, name))
    assert targets.oldest(targets.today(old)) == old
    now: Any = targets.module_of(targets.today(old))
    assert now == (module, name)
