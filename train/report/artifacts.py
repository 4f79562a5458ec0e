"""Logs the data folder that a training run uses and the model folder that it writes as W&B artifacts, both by reference.

A reference is a `file://` address with a size and a digest; the file itself is sent only if the weights are uploaded. The digest
identifies the file: its MD5, or for weights that are not uploaded a hash of their path and of what they were made from. W&B
therefore keeps equal data as one version, whichever run used it. An artifact is named after the last part of the folder's path.
The address of the model is in `<output>`, the name that `<output>.partial` gets when the run is finished.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from gra.private_api import wandb as private

PARTIAL = ".partial"  # the chain's suffix of an unfinished output folder
DATA_FILES = (
    "data/train.parquet",
    "README.md",
    "stats.json",
    "manifest.json",
)  # the journal is left out: it is not data
LONGEST = 120  # characters in a name; W&B allows 128


def use(run: Any, name: str, folder: Path) -> None:
    """Log `folder` as the data set that `run` uses as its input `name`."""
    import wandb

    artifact = wandb.Artifact(_name(folder.name), type="dataset", metadata={"input": name, **_made_from(folder)})
    for part in DATA_FILES:
        if (path := folder / part).is_file():
            _add(artifact, part, path, path, digest=_md5(path))
    private.log_artifact(run, artifact, use=True)


def log_model(run: Any, output: Path, upload: bool, offline: bool) -> None:
    """Log `output/model` as the output of `run`.

    With `upload` the files are sent too; offline they are sent when the run is synced.
    """
    import wandb

    final = output.with_name(output.name.removesuffix(PARTIAL))
    artifact = wandb.Artifact(_name(f"{final.name}-model"), type="model", metadata=_made_from(output))
    for path in sorted(p for p in (output / "model").rglob("*") if p.is_file()):
        part = path.relative_to(output / "model").as_posix()
        place = final / "model" / part
        digest = _md5(path) if upload else hashlib.md5(f"{place.absolute()} {artifact.metadata}".encode()).digest()
        _add(artifact, part, path, place, digest, upload=(place if offline else path) if upload else None)
    private.log_artifact(run, artifact)


def _add(artifact: Any, part: str, path: Path, place: Path, digest: bytes, upload: Path | None = None) -> None:
    """Add the file `path` to `artifact` as `part`: as a reference to `place`, or uploaded from `upload`."""
    target = (
        {"ref": place.absolute().as_uri()}
        if upload is None
        else {"local_path": str(upload.absolute()), "skip_cache": True}
    )
    encoded = base64.standard_b64encode(digest).decode("ascii")
    artifact.manifest.add_entry(private.manifest_entry(path=part, digest=encoded, size=path.stat().st_size, **target))


def _made_from(folder: Path) -> dict[str, str]:
    """Return the fingerprint of `folder` as {"hash": ...} if the chain recorded one, else {}.

    It is in manifest.json, or in begun.json while the folder is unfinished.
    """
    for name in ("manifest.json", "begun.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))["hash"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return {"hash": str(found)}
    return {}


def _md5(path: Path) -> bytes:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").digest()


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:LONGEST] or "folder"
