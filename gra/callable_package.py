"""Makes a package callable: `gra.train(...)` calls a function, and `from gra.train.stage import ...` still works."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that, when called, imports and calls the function named by its attribute `_function` ("module:name")."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self._function.partition(":")
        return getattr(importlib.import_module(module), name)(*arguments, **options)


def call(package: str, function: str) -> None:
    """Make the imported `package` callable: a call of it calls `function` ("module:name")."""
    module = sys.modules[package]
    module.__dict__["_function"] = function
    module.__class__ = _CallablePackage
