"""Several processes that train together, without the ten seconds that each takes to load its libraries: forked from a server
that has them. What torchrun would tell each of them is in its environment."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

PRELOAD = [  # what is missing is passed over
    "gra.train.loop.sft",
    "trl.trainer.sft_trainer",
    "peft",
    "matplotlib.figure",
    "deepspeed",
]


def context() -> Any:
    """The server's, which is started once a test session."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOAD)
    return server


def _process(
    rank: int,
    size: int,
    port: int,
    config: dict[str, Any],
    inputs: dict[str, Path],
    output: Path,
    stop: tuple[int, int] | None,
) -> None:
    from gra.errors import GraError
    from gra.train import stage

    if stop is not None:
        _signal_after(*stop)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": size, "WORLD_SIZE": size}
    os.environ.update({key: str(value) for key, value in {**address, "RANK": rank, "LOCAL_RANK": rank}.items()})
    try:
        stage.run(config, inputs, output)
    except GraError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(error.code)


def _signal_after(step: int, number: int) -> None:
    """Have this process sent a signal while it does its `step`."""
    from gra.train import preempt

    agree, calls = preempt.Stop.agree, iter(range(1, sys.maxsize))

    def signalled(stop: Any, device: Any) -> int:
        if next(calls) == step:
            os.kill(os.getpid(), number)
        return agree(stop, device)

    preempt.Stop.agree = signalled  # type: ignore[method-assign]


def start(
    size: int,
    port: int,
    config: dict[str, Any],
    inputs: dict[str, Path],
    output: Path,
    stop: tuple[int, int] | None = None,
) -> list[Any]:
    """`size` processes that run the stage together. `stop`: a step, and a signal that the last of them gets in it."""
    stops = [None] * (size - 1) + [stop]
    group = [
        context().Process(target=_process, args=(rank, size, port, config, inputs, output, stops[rank]))
        for rank in range(size)
    ]
    for process in group:
        process.start()
    return group


def codes(group: list[Any], seconds: float = 120) -> list[int | None]:
    """Their exit codes; what has not ended in time is killed and has none."""
    for process in group:
        process.join(seconds)
    found = [process.exitcode for process in group]
    for process in group:
        process.kill()
        process.join()
    return found
