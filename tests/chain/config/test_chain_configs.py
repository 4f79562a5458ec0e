"""The experiments and apps that come with the project: they compose, their stages accept them, their arms are comparable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gra.paths import conf_dir

SERVERS = ["pool.base_url=http://127.0.0.1:1/v1", "pool.models=[a,b,c,d,e]", "student.model=owner/name"]


def command(module: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_quickstart_has_four_arms_of_five_steps(tmp_path: Path) -> None:
    plan = command("gra.cli", "plan", "experiment=quickstart", folder=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout.count("would run") == 2 + 4 * 4
    replicates = command("gra.cli", "plan", "experiment=quickstart", "experiment.replicates=[0,1]", folder=tmp_path)
    hashes = [line.split("│")[-2].strip() for line in replicates.stdout.splitlines() if "would run" in line]
    assert len(set(hashes)) == len(hashes) - 1  # the world is the same for both


def test_quickstart_gives_every_arm_as_many_samples() -> None:
    config = yaml.safe_load((conf_dir() / "experiment" / "quickstart.yaml").read_text())
    assert config["samples"] == config["synthesis"]["rounds"] * config["synthesis"]["samples_per_round"]


def test_my_seeds_takes_own_seeds_and_servers(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('[{"instruction": "What is 2 + 2?", "output": "4"}]')
    plan = command("gra.cli", "plan", "experiment=my_seeds", "seeds.path=mine.json", *SERVERS, folder=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout.count("would run") == 3 * 3 + 1  # and the committee's probe
    unset = command("gra.cli", "plan", "experiment=my_seeds", folder=tmp_path)
    assert unset.returncode == 2
    for key in ("seeds.path", "pool.models", "pool.base_url", "student.model"):
        assert f"{key} (conf/" in unset.stderr


@pytest.mark.parametrize("module", ["gra.synthesis", "train", "eval"])
def test_a_stages_app_shows_its_config_and_asks_for_what_is_missing(module: str, tmp_path: Path) -> None:
    shown = command(module, "--cfg", "job", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "output: ???" in shown.stdout
    asked = command(module, folder=tmp_path)
    assert asked.returncode == 2
    assert "output (conf/" in asked.stderr
    assert "Traceback" not in asked.stderr
    names = {"gra.synthesis": "gra synthesize", "train": "gra train", "eval": "gra eval"}
    assert names[module] in command(module, "--help", folder=tmp_path).stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_opens_with_its_command(path: Path) -> None:
    lines = path.read_text().splitlines()
    first = lines[1] if lines[0].startswith("# @package ") else lines[0]  # Hydra wants the package before all else
    assert first.startswith(("# gra ", "# python -m ", "# torchrun ")), path
