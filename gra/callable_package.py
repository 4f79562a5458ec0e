"""Makes a package callable: `gra.train(...)` calls a function, and `from gra.train.stage import ...` still works.

`help`, editors and `inspect.signature` show the function's docstring and signature for the package. The function's
module is imported only when one of them asks, because that import is slow.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that, when called, imports and calls the function named by its attribute `_function` ("module:name")."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _found(self._function)(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_found(self._function), eval_str=True)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The function's signature, which `help` does not show for a module, and then the function's docstring."""
        function = _found(self._function)
        return f"{function.__name__}{inspect.signature(function, eval_str=True)}\n\n{inspect.getdoc(function)}"


def _found(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def call(package: str, function: str) -> None:
    """Make an imported package callable. A call of the package then calls `function`.

    `package`: the name of the package.
    `function`: the names of the function's module and of the function, as "module:name".
    """
    module = sys.modules[package]
    module.__dict__["_function"] = function
    module.__class__ = _CallablePackage
