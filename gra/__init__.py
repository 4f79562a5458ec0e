"""GRA: a committee of small language models writes instruction data (arXiv 2504.12322). Start with `gra --help`.

Python functions: `gra.synthesize`, `gra.refine`, `gra.review`, `gra.probe`, `gra.train`, `gra.evaluate`, `gra.compare`,
`gra.load` (gra/api, docs/python.md). Each is imported on first use, so `import gra` stays fast.
"""

from typing import Any

__version__ = "0.1.0"
_API = ("Data", "Folder", "Scores", "TrainedModel", "evaluate", "load", "probe", "refine", "review", "synthesize")


def __getattr__(name: str) -> Any:
    import importlib

    if name in _API:
        return getattr(importlib.import_module("gra.api"), name)
    if name in ("train", "compare"):  # packages that can be called
        return importlib.import_module(f"gra.{name}")
    raise AttributeError(f"module 'gra' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_API, "train", "compare"})
