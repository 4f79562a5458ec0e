"""Wraps the private names of other libraries that GRA uses, and the names that it patches. Each library has one module
here, and no other module of GRA uses such names.

Each module states why the public API is not enough, for which version of the library it was written, and in `NAMES`
every name that it relies on. `tests/test_private_api.py` checks that the installed version still has each name. If a
name is gone, this test fails and, during a run, `found` raises an error; both report the library, its version and the
name.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gra.errors import GraError


class MovedError(GraError):
    """The installed version of a library does not have a private name that GRA needs."""


def found(name: str, read_from: str) -> Any:
    """Return the object with the dotted `name` (module, then attributes). `read_from`: the library and the version for
    which the caller was written, as "PACKAGE VERSION". Raises MovedError if there is no such object."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
                raise  # not the name's own module: an optional library that the module imports is missing
            continue
        try:
            for part in parts[length:]:
                value = getattr(value, part)
        except AttributeError:
            break
        return value
    raise moved(name, read_from)


def moved(name: str, read_from: str) -> MovedError:
    """Return the error that says that the installed library does not have `name`."""
    package, _, read = read_from.partition(" ")
    try:
        installed = version(package)
    except PackageNotFoundError:
        installed = "(not installed)"
    return MovedError(
        f"{package} {installed} has no `{name}`, which {package} {read} has\n    -> pip install '{read_from.replace(' ', '==')}'"
    )


def missing(names: Sequence[str], read_from: str) -> list[str]:
    """Return one message for each of the `names` that the installed library does not have.

    A name of the form `CLASS:attribute` is an attribute that the methods of the class set on `self`. A name is skipped
    if it needs an optional library that is not installed.
    """
    messages = []
    for name in names:
        owner, _, attribute = name.partition(":")
        try:
            value = found(owner, read_from)
            if attribute and not re.search(rf"self\.{attribute}\b|def {attribute}\(", _source(value)):
                raise moved(name, read_from)
        except MovedError as error:
            messages.append(str(error))
        except ModuleNotFoundError:
            continue
    return messages


def _source(value: type) -> str:
    return "".join(inspect.getsource(part) for part in value.__mro__ if part is not object)
