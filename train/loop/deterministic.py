"""Sets options of torch and TRL for a training run and restores them afterwards, because other stages share the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def kernels(threads: int | None) -> Iterator[None]:
    """While the context lasts, use deterministic kernels and `threads` threads on a CPU. If `threads` is None, the
    number of threads is not changed.

    On a GPU nothing changes, and results are equal only up to the kernels' rounding.
    """
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
        fill.fill_uninitialized_memory = (
            False  # TRL uses much scratch memory: filling it doubles the time of a small step
        )
        if threads is not None:
            torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        fill.fill_uninitialized_memory = was_filling
        torch.set_num_threads(was_threads)
