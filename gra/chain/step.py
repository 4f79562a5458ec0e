"""One step in a process of its own: `python -m gra.chain.step SPEC.json`, as the local executor and batch jobs start it.

Killed at any moment, the same command goes on from the step's working folder; finished before, it does nothing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.chain.runner import run_in_store
from gra.chain.stage import load_stage
from gra.chain.store import Store
from gra.errors import EXIT_CONFIG, EXIT_INTERRUPTED, GraError
from gra.fileio import read_json, write_json
from gra.signals import leaving_on_preemption

PARENT = "GRA_PARENT_PID"  # the process that waits for this one: they die together
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Spec:
    """All that a step needs to run. `inputs`: finished folders; `hashes`: their fingerprints; `digest`: the step's own."""

    name: str
    target: str
    config: dict[str, Any]
    inputs: dict[str, Path]
    hashes: dict[str, str]
    store: Path
    digest: str

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, {**vars(self), "inputs": {k: str(v) for k, v in self.inputs.items()}, "store": str(self.store)})

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Read what `write` wrote. Raises OSError, ValueError, KeyError, TypeError for anything else."""
        raw: Mapping[str, Any] = read_json(path)
        inputs = {name: Path(folder) for name, folder in raw["inputs"].items()}
        return cls(**{**raw, "inputs": inputs, "store": Path(raw["store"])})


def main(arguments: list[str]) -> int:
    """Run the step of the spec file in `arguments`; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m gra.chain.step SPEC.json", file=sys.stderr)
        return EXIT_CONFIG
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    spec = Spec.read(Path(arguments[0]))
    try:
        with leaving_on_preemption():
            result = run_in_store(
                load_stage(spec.target), spec.config, spec.inputs, spec.hashes, Store(spec.store), spec.name, spec.digest
            )
    except GraError as error:
        print(f"{spec.name}: {error}", file=sys.stderr, flush=True)
        return error.code
    except KeyboardInterrupt:
        print(f"{spec.name}: interrupted; the same command goes on from here", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED
    print(f"{spec.name}: {'found' if result.reused else 'made'} {result.folder}", flush=True)
    return 0


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is gone (Linux; elsewhere nothing is done)."""
    parent = os.environ.pop(PARENT, "")
    if parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it died before the line above
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
