"""An experiment of fake stages in a folder of its own, run by the real command in real processes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

STAGES = Path(__file__).parent / "stages"
EXPERIMENT = """\
# @package _global_
# gra run --config-dir conf experiment=fake
defaults:
  - /big@other: five
  - _self_
made: {value: 1, slow: 0, fail: null}
file: null
experiment:
  name: fake
  title: A fake
  reference: a
  steps:
    base: {_target_: fake_make.run, config: {seed: 0, value: 10, mark: true}}
  template:
    make:
      _target_: fake_make.run
      config: {seed: "${seed}", value: "${made.value}", slow: "${made.slow}", fail: "${made.fail}", file: "${file}"}
    scores: {_target_: fake_join.run, config: {plus: 0}, inputs: {data: make, base: base}}
  arms:
    a: {label: Arm A}
    b: {label: Arm B, override: {made: "${other}"}}
    twin: {label: The same as A}
"""


@dataclass
class Place:
    """A working folder: `gra(...)` runs the command there."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "runs" / "store"

    @property
    def calls(self) -> list[str]:
        """What the fake stages did, in order."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def finished(self) -> list[str]:
        return sorted(
            p.name for p in self.store.iterdir() if (p / "manifest.json").exists() and not p.name.endswith(".partial")
        )

    def command(self, *arguments: str) -> list[str]:
        name, *rest = arguments
        return [sys.executable, "-P", "-m", "gra.cli", name, "--config-dir", "conf", *rest]

    def gra(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def app(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The fake stage's own command."""
        code = "import sys; from gra.chain.execution.app import main; sys.argv[0] = 'fake'; main('fake_make.run', 'fake_app')"
        return subprocess.run(
            [sys.executable, "-P", "-c", code, "--config-dir", "conf", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
