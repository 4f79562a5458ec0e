"""The private or patched names of other libraries that the project uses: one module per library, and none anywhere else.

Each module names the version that it was read from, why the public API does not do, and in `NAMES` every name that it relies on.
`tests/test_private_api.py` looks each of them up in the installed version. A name that is gone is reported with the library, its
version and the name, there and by `found` in a run.
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
    """A private name that the installed version of a library does not have."""


def found(name: str, read_from: str) -> Any:
    """What the dotted `name` (module, then attributes) is. `read_from`: `PACKAGE VERSION`. Raises MovedError."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
                raise  # an optional library that this one needs
            continue
        try:
            for part in parts[length:]:
                value = getattr(value, part)
        except AttributeError:
            break
        return value
    raise moved(name, read_from)


def moved(name: str, read_from: str) -> MovedError:
    """The error for a name that is gone."""
    package, _, read = read_from.partition(" ")
    try:
        installed = version(package)
    except PackageNotFoundError:
        installed = "(not installed)"
    return MovedError(
        f"{package} {installed} has no `{name}`, which {package} {read} has\n    -> pip install '{read_from.replace(' ', '==')}'"
    )


def missing(names: Sequence[str], read_from: str) -> list[str]:
    """One message per name of a module's `NAMES` that is gone. `CLASS:attribute` is an attribute that methods of the class set on
    `self`. Names that need a library that is not installed are left out."""
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
