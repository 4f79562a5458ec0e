"""What is set in torch and TRL for the length of a training run, and put back after it: other stages share the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def kernels(threads: int | None) -> Iterator[None]:
    """Deterministic kernels and `threads` threads (None: as they are) on a CPU; on a GPU nothing is changed, where the same
    result is had up to the kernels' own rounding."""
    import torch
    import torch.utils.deterministic

    fill: Any = torch.utils.deterministic
    was, was_threads, was_filling = (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        fill.fill_uninitialized_memory,
    )
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True)
        fill.fill_uninitialized_memory = False  # TRL takes much scratch memory: filling it would double the time of a small step
        if threads is not None:
            torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        fill.fill_uninitialized_memory = was_filling
        torch.set_num_threads(was_threads)


@contextmanager
def trained_positions_only() -> Iterator[None]:
    """Project only trained positions through the output layer on a CPU too. TRL 1.16 does so on GPUs alone (a guard against
    recompilation on other accelerators); the sum is the same, and a step of a small model takes a fifth less."""
    import trl.trainer.utils as trl_utils

    original = trl_utils._use_triton
    trl_utils._use_triton = lambda device: device.type == "cpu" or original(device)
    try:
        yield
    finally:
        trl_utils._use_triton = original
