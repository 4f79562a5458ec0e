"""Patches `tqdm.std.tqdm.__init__`. Written for tqdm 4.70.1.

lm-eval has no option to switch off the bars that it shows while it builds prompts. The environment variable
TQDM_DISABLE has no effect if tqdm is already imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READ_FROM = "tqdm 4.70.1"
NAMES = ("tqdm.std.tqdm.__init__",)


@contextmanager
def quiet_bars() -> Iterator[None]:
    """Disable all progress bars of tqdm during the `with` block."""
    from tqdm.std import tqdm

    before = tqdm.__init__

    def disabled(self: Any, *values: Any, **options: Any) -> None:
        before(self, *values, **(options | {"disable": True}))

    tqdm.__init__ = disabled  # type: ignore[method-assign]
    try:
        yield
    finally:
        tqdm.__init__ = before  # type: ignore[method-assign]
