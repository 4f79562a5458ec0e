"""Runs one step in a separate process. The local executor and batch jobs start it: `python -m gra.chain.step SPEC.json`.

If the process is killed, the same command resumes from the step's working folder. If the step is already finished, the
command does nothing.
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

from gra.chain.execution.runner import run_in_store
from gra.chain.stage import load_stage
from gra.chain.store.store import Store
from gra.errors import EXIT_CONFIG, EXIT_INTERRUPTED, GraError, MissingError
from gra.fileio import read_json, write_json
from gra.signals import leaving_on_preemption

PARENT = "GRA_PARENT_PID"  # variable with the id of the parent process; if the parent dies, this process is killed
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Source:
    """The step that makes an input of another step.

    `step`: the id of the step, for messages.
    `stage`: the name of its stage.
    `digest`: its fingerprint.
    """

    step: str
    stage: str
    digest: str


@dataclass(frozen=True)
class Spec:
    """Everything that a step's process needs to know to run the step.

    `inputs`: input name -> a folder outside the experiment, or the step that makes the input. When this step starts,
        the other step's fingerprint is used to find that step's folder in the store.
    `hashes`: input name -> fingerprint of the input.
    `digest`: the fingerprint of this step.
    `experiment`: the name of the experiment.
    """

    name: str
    target: str
    config: dict[str, Any]
    inputs: dict[str, Path | Source]
    hashes: dict[str, str]
    store: Path
    digest: str
    experiment: str | None = None

    def write(self, path: Path) -> None:
        """Write the spec as JSON, atomically."""
        inputs = {
            name: vars(source) if isinstance(source, Source) else str(source) for name, source in self.inputs.items()
        }
        write_json(path, {**vars(self), "inputs": inputs, "store": str(self.store)})

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Return the spec in the file `path`, which `write` wrote.

        For any other file, raises OSError, ValueError, KeyError or TypeError.
        """
        raw: Mapping[str, Any] = read_json(path)
        inputs = {name: Path(s) if isinstance(s, str) else Source(**s) for name, s in raw["inputs"].items()}
        return cls(**{**raw, "inputs": inputs, "store": Path(raw["store"])})

    def folders(self) -> dict[str, Path]:
        """Return a mapping from each input to its finished folder.

        If folders are missing, raises MissingError, which names the steps that should have made them.
        """
        store = Store(self.store)
        found: dict[str, Path] = {}
        missing = []
        for name, source in self.inputs.items():
            folder = store.find(source.stage, source.digest) if isinstance(source, Source) else source
            if folder is None or not folder.exists():
                missing.append(source.step if isinstance(source, Source) else str(source))
            else:
                found[name] = folder
        if missing:
            names = ", ".join(missing)
            remedy = "see its log, then run the same command again"
            raise MissingError(f"upstream {names} did not finish: no finished folder in {self.store}\n    -> {remedy}")
        return found


def main(arguments: list[str]) -> int:
    """Run a step and return the exit code. `arguments`: a list with one word, the path of the step's spec file."""
    if len(arguments) != 1:
        print("usage: python -m gra.chain.step SPEC.json", file=sys.stderr)
        return EXIT_CONFIG
    die_with_parent()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    spec = Spec.read(Path(arguments[0]))
    try:
        with leaving_on_preemption():
            result = run_in_store(
                load_stage(spec.target),
                spec.config,
                spec.folders(),
                spec.hashes,
                Store(spec.store),
                spec.name,
                spec.digest,
                experiment=spec.experiment,
            )
    except GraError as error:
        print(f"{spec.name}: {error}", file=sys.stderr, flush=True)
        return error.code
    except KeyboardInterrupt:
        print(f"{spec.name}: interrupted; run the same command again to resume", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED
    print(f"{spec.name}: {'already finished' if result.reused else 'finished'} ({result.folder})", flush=True)
    return 0


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent dies.

    This works only on Linux, and only if the parent has set the variable GRA_PARENT_PID. Otherwise nothing is done.
    """
    parent = os.environ.pop(PARENT, "")
    if parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # the parent died before prctl was called
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
