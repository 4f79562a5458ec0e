"""`gra push DIR [USER/NAME]`: uploads a data or model folder to the Hugging Face hub, with its card.

  gra push data/mine me/mine --dry-run      # list the files, send nothing
  gra push data/mine me/mine --private
  gra push models/mine me/mine-0.5b         # the folder's model/, as a model

Of a data folder, the samples (kept and dropped) are uploaded; of a model folder, model/. The card and the files SIMULATED
and QUANTIZED, if present, are uploaded too. The journal, the config and addresses of servers are not.
Set the hub's token with HF_TOKEN or `hf auth login`.
https://huggingface.co/docs/huggingface_hub/guides/upload
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gra import labels, secret_patterns, unfinished
from gra.errors import StoreError
from gra.flags import Parser

DATA = ("README.md", "data/train.parquet", "rejected.parquet", labels.MARK, labels.QUANTIZED)
_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


@dataclass(frozen=True)
class Parcel:
    """The files to upload to one repository of the hub.

    `kind`: the kind of the repository, `dataset` or `model`. `files`: the paths of the files, relative to the folder
    `root`.
    """

    kind: str
    root: Path
    files: list[str]

    @property
    def size(self) -> int:
        return sum((self.root / name).stat().st_size for name in self.files)


def main(arguments: Sequence[str]) -> int:
    """Run `gra push` with the command-line `arguments` and return the exit code. Raises StoreError if the folder holds
    nothing to push, or if the hub refuses the upload."""
    parser = Parser("gra push", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a finished data folder or model folder")
    parser.add_argument(
        "repo",
        nargs="?",
        metavar="USER/NAME",
        help="repository; default: the token's user name and the last part of DIR",
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--dry-run", action="store_true", help="list the files and send nothing")
    given = parser.parse_intermixed_args(arguments)
    name = given.repo or given.folder.resolve().name
    if not _ID.fullmatch(name):
        parser.error(
            f"{name!r} is not a repository name of the hub\n    -> give USER/NAME: letters, digits, `.`, `-` and `_`"
        )
    found = parcel(given.folder)
    print(f"{found.kind} {name}: {len(found.files)} files, {found.size / 1e6:.1f} MB")
    for file in found.files:
        print(f"  {file}")
    if given.dry_run:
        print("nothing was sent (--dry-run)")
        return 0
    print(push(found, name, private=given.private))
    return 0


def parcel(folder: Path) -> Parcel:
    """Return the files to upload from `folder`, the output of a synthesis or a training.

    Raises StoreError if `folder` is not a finished data or model folder, or if its card seems to contain a secret.
    """
    if not (folder / labels.MANIFEST).is_file():
        raise StoreError(unfinished.told(folder, "give the output of gra synthesize or gra train"))
    if (folder / "data" / "train.parquet").is_file():
        found = Parcel("dataset", folder, [name for name in DATA if (folder / name).is_file()])
    elif (folder / "model").is_dir():
        root = folder / "model"
        files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        found = Parcel("model", root, files)
    else:
        raise StoreError(f"{folder}: holds neither data/train.parquet nor model/\n    -> give a data or a model folder")
    card = found.root / "README.md"
    if card.is_file() and secret_patterns.is_value(card.read_text(encoding="utf-8", errors="replace")):
        raise StoreError(f"{card}: holds what looks like a secret\n    -> remove it, then push again")
    return found


def push(found: Parcel, name: str, *, private: bool) -> str:
    """Upload the files `found` to the hub repository `name` in one commit, and return the repository's address. Create
    the repository if it does not exist. Raises StoreError if the hub refuses or cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    hub = HfApi()
    transport: type[Exception] = HfHubHTTPError.__bases__[
        0
    ]  # base class of the errors of the HTTP library in use (httpx or a successor)
    try:
        made = hub.create_repo(name, repo_type=found.kind, private=private or None, exist_ok=True)
        hub.upload_folder(
            repo_id=made.repo_id,
            repo_type=found.kind,
            folder_path=found.root,
            allow_patterns=[_literal(file) for file in found.files],
            commit_message="Data by gra" if found.kind == "dataset" else "Model by gra",
        )
    except OfflineModeIsEnabled as error:
        raise StoreError(f"the hub is switched off here: {error}\n    -> unset HF_HUB_OFFLINE") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = {
            401: "set HF_TOKEN to a token that may write, or run: hf auth login",
            403: f"use a token that may write to {name}, or another name",
        }.get(status, "try again; what was sent is not sent twice")
        raise StoreError(f"the hub refused {name}: HTTP {status} {_first_line(error)}\n    -> {remedy}") from error
    except transport as error:
        raise StoreError(
            f"{hub.endpoint} cannot be reached: {error}\n    -> check the network; then push again"
        ) from error
    return str(made)


def _literal(name: str) -> str:
    """Return a pattern that matches only this file."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")[:200]
    return "" if secret_patterns.is_value(line) else line
