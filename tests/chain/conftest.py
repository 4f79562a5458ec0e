"""An experiment of fake stages in a folder of its own, run by the real command in real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from places import EXPERIMENT, STAGES, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with the experiment `fake` in `conf/`, and the fake stages importable."""
    for name, text in {
        "experiment/fake.yaml": EXPERIMENT,
        "big/five.yaml": "{value: 5, slow: 0, fail: null}\n",
        "fake_app.yaml": (
            "defaults: [_self_, {override hydra/job_logging: none}, {override hydra/hydra_logging: none}]\n"
            "seed: 0\nvalue: 1\nslow: 0\noutput: ???\ninputs: {data: null}\n"
            "config: {seed: '${seed}', value: '${value}', slow: '${slow}', runtime: {speed: 1}}\n"
            "hydra: {run: {dir: .}, output_subdir: null, sweep: {dir: runs/hydra, subdir: .}}\n"
        ),
    }.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(STAGES), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FAKE_CALLS": str(tmp_path / "calls"),
        "OMP_NUM_THREADS": "1",
    }
    return Place(tmp_path, environment)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The fake stages importable in this process."""
    monkeypatch.syspath_prepend(str(STAGES))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    return tmp_path
