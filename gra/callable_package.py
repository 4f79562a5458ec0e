"""Lets a package be called like the function that bears its name: `gra.train(...)` beside `from gra.train.stage import ...`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package with the attribute `_function`, "module:name", which is imported when the package is called."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self._function.partition(":")
        return getattr(importlib.import_module(module), name)(*arguments, **options)


def call(package: str, function: str) -> None:
    """From now on a call of the imported `package` is a call of `function`, "module:name"."""
    module = sys.modules[package]
    module.__dict__["_function"] = function
    module.__class__ = _CallablePackage
