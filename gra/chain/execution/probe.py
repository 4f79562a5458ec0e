"""Runs `gra probe`: runs the probe stage alone, then prints its findings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain.execution.app import hydra_main, run_stage
from gra.errors import Problem
from gra.paths import expanded

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG = "probe_app"
TARGET = "gra.synthesis.probe.stage.run"


def main(words: list[str]) -> int:
    """Run the command with the arguments `words`. Return the exit code."""
    sys.argv = ["gra probe", *words]
    return hydra_main(_probe, CONFIG)


def _probe(root: DictConfig, problems: list[Problem]) -> None:
    run_stage(TARGET, CONFIG, root, problems)
    print(_found(expanded(root.output)))


def _found(folder: Path) -> str:
    return (folder / "probe.txt").read_text(encoding="utf-8")
