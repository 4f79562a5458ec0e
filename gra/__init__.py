"""GRA: a committee of small language models writes instruction data (arXiv 2504.12322). Start with `gra --help`.

Python functions: `gra.synthesize`, `gra.refine`, `gra.review`, `gra.probe`, `gra.train`, `gra.evaluate`, `gra.compare`,
`gra.export`, `gra.load` (gra/api, docs/python.md). Each is imported on first use, so `import gra` stays fast. `help(gra.train)`
documents `train`.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Data",
    "Folder",
    "Probe",
    "Scores",
    "TrainedModel",
    "compare",
    "evaluate",
    "export",
    "load",
    "probe",
    "refine",
    "review",
    "synthesize",
    "train",
]
_PACKAGES = ("train", "compare", "export")  # packages that can be called like functions


def __getattr__(name: str) -> Any:
    import importlib

    if name in _PACKAGES:
        return importlib.import_module(f"gra.{name}")
    if name in __all__:
        return getattr(importlib.import_module("gra.api"), name)
    raise AttributeError(f"module 'gra' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
