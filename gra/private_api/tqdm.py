"""Patches `tqdm.std.tqdm.__init__`, read from tqdm 4.70.1.

lm-eval has no option to switch off the bars that it shows while it builds prompts. TQDM_DISABLE is read when tqdm is
imported, which may have happened already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

READ_FROM = "tqdm 4.70.1"
NAMES = ("tqdm.std.tqdm.__init__",)


@contextmanager
def quiet_bars() -> Iterator[None]:
    """Disable all of tqdm's bars during the block."""
    from tqdm.std import tqdm

    before = tqdm.__init__

    def disabled(self: Any, *values: Any, **options: Any) -> None:
        before(self, *values, **(options | {"disable": True}))

    tqdm.__init__ = disabled  # type: ignore[method-assign]
    try:
        yield
    finally:
        tqdm.__init__ = before  # type: ignore[method-assign]
