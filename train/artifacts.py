"""W&B artifacts of a training run: the data folder it uses and the model folder it makes, both by reference.

A reference is a `file://` address with a size and a digest: nothing is sent but that. Its digest says what the file is (data: its
MD5; weights: their own place and what made them), so equal data is one version for W&B, whatever run used it. A folder is named
by its last part. Where the model is published, `<output>.partial` will have become `<output>`: that is the address given.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # how the chain names an output folder that is not finished
DATA_FILES = ("data/train.parquet", "README.md", "stats.json", "manifest.json")  # not the journal: that is how the data was made
LONGEST = 120  # characters of a name; W&B allows 128


def use(run: Any, name: str, folder: Path) -> None:
    """Note `folder` as the data set that `run` uses, as its input `name`."""
    import wandb

    artifact = wandb.Artifact(_name(folder.name), type="dataset", metadata={"input": name, **_made_from(folder)})
    for part in DATA_FILES:
        if (path := folder / part).is_file():
            _add(artifact, part, path, path, digest=_md5(path))
    # not run.use_artifact: it refuses offline, and online waits without end for a server that has gone away
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def log_model(run: Any, output: Path, upload: bool, offline: bool) -> None:
    """Note `output/model` as what `run` has made; with `upload` the files go with it (offline: when the run is synced)."""
    import wandb

    final = output.with_name(output.name.removesuffix(PARTIAL))
    artifact = wandb.Artifact(_name(f"{final.name}-model"), type="model", metadata=_made_from(output))
    for path in sorted(p for p in (output / "model").rglob("*") if p.is_file()):
        part = path.relative_to(output / "model").as_posix()
        place = final / "model" / part
        digest = _md5(path) if upload else hashlib.md5(f"{place.absolute()} {artifact.metadata}".encode()).digest()
        _add(artifact, part, path, place, digest, upload=(place if offline else path) if upload else None)
    run._log_artifact(artifact, is_user_created=True)


def _add(artifact: Any, part: str, path: Path, place: Path, digest: bytes, upload: Path | None = None) -> None:
    """Add the file `path` to `artifact` as `part`: by reference to `place`, or to be sent from `upload`."""
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

    target = {"ref": place.absolute().as_uri()} if upload is None else {"local_path": str(upload.absolute()), "skip_cache": True}
    encoded = base64.standard_b64encode(digest).decode("ascii")
    artifact.manifest.add_entry(ArtifactManifestEntry(path=part, digest=encoded, size=path.stat().st_size, **target))


def _made_from(folder: Path) -> dict[str, str]:
    """The fingerprint of what `folder` was made from, where the chain has noted it (manifest.json; begun.json in the making)."""
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
