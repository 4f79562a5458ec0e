"""Finds the functions that a config names by a dotted path (`_target_`): stages, connections to models, sources of
probe questions.

The old name of a moved function stays valid. Fingerprints contain the oldest name of a function, so moving it does not
invalidate finished steps.
"""

from __future__ import annotations

import importlib
from types import ModuleType

MOVED = {  # oldest name -> current name
    "gra.models.openai_server.connect": "gra.models.openai.backend.connect",
    "gra.models.transformers_local.connect": "gra.models.local.transformers.connect",
    "gra.models.phased_servers.connect": "gra.models.time_sharing.servers.connect",
    "gra.models.phased_transformers.connect": "gra.models.time_sharing.transformers.connect",
    "gra.models.vllm_offline.connect": "gra.models.time_sharing.vllm.connect",
    "gra.synthesis.committee.exact.source": "gra.synthesis.probe.exact.source",
    "gra.synthesis.committee.probe_stage.run": "gra.synthesis.probe.stage.run",
    "train.stage.run": "gra.train.stage.run",
    "train.prepare.run": "gra.train.prepare.run",
    "train.student.run": "gra.train.student_stage.run",
    "eval.stage.run": "gra.eval.stage.run",
    "eval.known.source": "gra.eval.suite.known.source",
}
_OLDEST = {new: old for old, new in MOVED.items()}


def today(path: str) -> str:
    """Return the current name of the function that `path` names."""
    return MOVED.get(path, path)


def oldest(path: str) -> str:
    """Return the oldest name of the function that `path` names. Fingerprints contain this name."""
    return _OLDEST.get(path, path)


def module_of(path: str) -> tuple[ModuleType, str]:
    """Import the module of the function that `path` names. Return the module and the function's name. Raises
    ImportError if the module cannot be imported, and ValueError if `path` has no dot."""
    name, _, function = today(path).rpartition(".")
    return importlib.import_module(name), function
