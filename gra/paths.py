"""Where the project's own files lie, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

from gra.errors import GraError

_PACKAGE = Path(__file__).resolve().parent
OWN = "gra:"


def conf_dir() -> Path:
    """The folder of Hydra's YAML files: `gra/_conf` in an installed wheel, else the repository's `conf/`."""
    for folder in (_PACKAGE / "_conf", _PACKAGE.parent / "conf"):
        if folder.is_dir():
            return folder
    raise GraError(f"no configuration files beside {_PACKAGE}: install the package again, or run from a whole checkout")


def expanded(path: object) -> Path:
    """`path` with a leading `~` or `~user` replaced by that home; as it is where there is no such user (Path.expanduser raises)."""
    return Path(os.path.expanduser(str(path)))  # noqa: PTH111


def located(path: object) -> Path:
    """As `expanded`; `gra:NAME` is the file NAME in `conf_dir()`, so that a config can name data that come with the package.

    A file of the working folder that is called so is written `./gra:NAME`. Raises GraError as `conf_dir` does.
    """
    text = str(path)
    return conf_dir() / text.removeprefix(OWN) if text.startswith(OWN) else expanded(text)


def source_root() -> Path | None:
    """The repository's folder if the code runs from a git checkout, else None."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() else None
