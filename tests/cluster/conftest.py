"""One Slurm for all tests here, and folders with experiments to submit."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import EXPERIMENT, STAGES, Place
from slurm_cluster import started

TINY = """\
# @package _global_
defaults:
  - _self_
  - override /seeds: world
  - override /pool: servers
  - override /synthesis: gra
  - override /student: tiny
  - override /sft: cpu_tiny
  - override /suite: world
seeds: {limit: 12}
pool: {base_url: URL, models: [slm-a, slm-b, slm-c, slm-d, slm-e]}
synthesis: {rounds: 1, samples_per_round: 16, dedup: {model: hash}}
runtime: {concurrency: 2}
student: {build: {vocab_size: 400, hidden_size: 32, layers: 1, heads: 1, intermediate_size: 32}}
sft: {epochs: 2}
suite: {limit: 4, max_new_tokens: 4}
experiment:
  name: tiny
  title: A tiny chain
  steps:
    world:
      _target_: gra.simulation.world_stage.run
      config: {seed: 0, world: {seeds: 20, test_per_task: 6, corpus_pairs: 200}}
    student: {_target_: gra.train.student_stage.run, config: {seed: 0, student: "${student}"}, inputs: {corpus: world}}
  arms:
    gra:
      label: GRA
      steps:
        data:
          _target_: gra.synthesis.stage.run
          config: {seed: 0, seeds: "${seeds}", pool: "${pool}", synthesis: "${synthesis}", runtime: "${runtime}"}
          inputs: {seeds: world}
        audit: {_target_: gra.simulation.audit.run, config: {seed: 0}, inputs: {data: data}}
        model:
          _target_: gra.train.stage.run
          config: {seed: 0, student: "${student}", sft: "${sft}", runtime: {tracking: "${tracking}"}}
          inputs: {data: data, student: student}
        scores:
          _target_: gra.eval.stage.run
          config: {seed: 0, suite: "${suite}", runtime: {tracking: "${tracking}"}}
          inputs: {model: model, benchmarks: world}
"""
DIVIDED = """\
# @package _global_
experiment:
  name: divided
  title: A divided stage
  steps: {}
  arms:
    a:
      label: Arm A
      steps:
        data: {_target_: fake_shards.run, config: {seed: 0, parts: null}}
        scores: {_target_: fake_join.run, config: {plus: 0}, inputs: {data: data}}
"""


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """The environment of a Slurm with two nodes and arrays of at most 8 tasks."""
    folder = Path(tempfile.mkdtemp(prefix="gra-slurm-", dir="/tmp"))  # sockets need a short path
    try:
        with started(folder, nodes=2, max_array=8) as environment:
            yield environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def working_folder(folder: Path, environment: dict[str, str]) -> Place:
    """A folder with the experiments `fake`, `divided` and `tiny`. It is not a clone and has no runs/."""
    for name, text in {"fake": EXPERIMENT, "divided": DIVIDED, "tiny": TINY}.items():
        path = folder / "conf" / "experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "conf" / "big").mkdir()
    (folder / "conf" / "big" / "five.yaml").write_text("{value: 5, slow: 0, fail: null}\n")
    paths = [str(STAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "FAKE_CALLS": str(folder / "calls"), "CUDA_VISIBLE_DEVICES": ""}
    return Place(folder, {**environment, **own})


@pytest.fixture
def cluster(slurm: dict[str, str], tmp_path: Path) -> Place:
    """A working folder whose commands find the Slurm."""
    return working_folder(tmp_path, {**slurm, "PATH": f"{Path(sys.executable).parent}:{slurm['PATH']}"})
