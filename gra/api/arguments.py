"""Checks the arguments of a call. The error for an unknown argument names the one that the caller probably meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ParamSpec, TypeVar

from gra import spelling
from gra.errors import Problem

P = ParamSpec("P")
T = TypeVar("T")


def of_app(app: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator for a function that runs a stage (such as training) with the config conf/`app`.yaml.

    If the decorated function is called with an unknown argument, it raises a TypeError that says what to write instead:
    a similar argument, or a key of the config.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        names = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for name, value in kwargs.items():
                if name not in names:
                    raise TypeError(_told(function.__name__, name, value, names, app))
            return function(*args, **kwargs)

        return call

    return decorated


def _told(function: str, name: str, value: Any, names: Sequence[str], app: str) -> str:
    from gra.api.composing import keys_of

    said = f"{function}() has no argument {name!r}"
    if near := spelling.near(name, names, cutoff=0.8):
        return f"{said}: did you mean {near[0]!r}?"
    if near := spelling.near(name, keys_of(app), cutoff=spelling.TYPO):
        return f"{said}: a setting is given in `config`, e.g. config={{{near[0]!r}: {value!r:.80}}}"
    return f"{said}: it has {', '.join(names)}; settings are given in `config`: config={{'KEY': VALUE}}"


def not_a_path(name: str, value: object, wanted: str) -> list[Problem]:
    """Return [] if `value` is a path or a non-empty string. Otherwise return a list with one error message for the
    argument that has the name `name`.

    `wanted`: the part of the message that says what the user should give.
    """
    if isinstance(value, str | PathLike) and value != "":
        return []
    told = "required, but not set" if value in (None, "") else f"neither a text nor a path (got {value!r:.80})"
    return [Problem(name, told, f"give {wanted}: {name}=...", "Python")]
