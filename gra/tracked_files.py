"""Logs to W&B, as artifacts, the files that a run reads and the files that it writes: seeds -> data -> model -> scores
-> comparison.

An artifact holds one reference per file: a `file://` address with a size and a digest. The files themselves are not
sent, except uploaded weights and the tables of a comparison. The digest identifies the file: it is the MD5 of its
content. For weights that are not uploaded, it is instead a hash of their path and of the artifact's metadata. The
metadata holds the folder's fingerprint in the store (`hash`). If two runs log files with equal digests, W&B keeps them
as one version. In this way W&B connects the run that made a file to the runs that read it.

An artifact is named after the last part of the folder's path. The addresses are in `<output>`, even while the files are
still in `<output>.partial`, which is renamed to `<output>` when the run is finished.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.labels import PARTIAL
from gra.private_api import wandb as private
from gra.tracking import cut

# without the manifest, which is written after the run, and without the journal, which is not data
DATA_FILES = ("data/train.parquet", "README.md", "stats.json")
SCORE_FILES = ("scores.json", "results.json", "samples.parquet")
LONGEST = 120  # characters in a name; W&B allows 128


def log_data(run: Any, output: Path) -> None:
    """Log the data folder `output` as an artifact that `run` wrote."""
    _files(run, _final(output).name, "dataset", _present(output, DATA_FILES), _made_from(output))


def use_data(run: Any, name: str, folder: Path) -> None:
    """Log `folder` as the data set that `run` uses as its input `name`."""
    metadata = {"input": name, **_made_from(folder)}
    _files(run, folder.name, "dataset", _present(folder, DATA_FILES), metadata, use=True)


def use_seeds(run: Any, path: Path, made_by: Path | None) -> None:
    """Log the file or folder `path` as the seeds that `run` uses. `made_by`: the folder of the step that made the
    seeds; None if no step made them."""
    found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    files = {(p.relative_to(path).as_posix() if path.is_dir() else p.name): p for p in found}
    name = path.name if made_by is None else f"{made_by.name}-seeds"
    _files(run, name, "seeds", files, {} if made_by is None else _made_from(made_by), use=True)


def log_model(run: Any, output: Path, upload: bool, offline: bool) -> None:
    """Log `output/model` as an artifact that `run` wrote.

    `upload`: whether W&B gets the weights themselves. If the run is offline, W&B gets them when the run is synced.
    """
    _model(run, output, upload, send="later" if offline else "now")


def use_model(run: Any, folder: Path, upload: bool) -> None:
    """Log `folder/model` as the model that `run` uses. `upload`: whether the run that made the model uploaded its
    weights."""
    _model(run, folder, upload, send=None)


def log_scores(run: Any, output: Path) -> None:
    """Log the files of an evaluation as an artifact that `run` wrote."""
    _files(run, f"{_final(output).name}-scores", "scores", _present(output, SCORE_FILES), _made_from(output))


def use_scores(run: Any, folder: Path) -> None:
    """Log the scores in `folder` as an input of `run`."""
    _files(run, f"{folder.name}-scores", "scores", _present(folder, SCORE_FILES), _made_from(folder), use=True)


def log_comparison(run: Any, name: str, files: Mapping[str, Path]) -> None:
    """Log the tables of a comparison as an artifact that `run` wrote. The tables themselves are uploaded, because they
    are small."""
    artifact = _artifact(name, "comparison", {})
    for part, path in files.items():
        _add(artifact, part, path, path, _md5(path), upload=path)
    private.log_artifact(run, artifact)


def _model(run: Any, output: Path, upload: bool, send: str | None) -> None:
    """Log `output/model`. `send`: when the files of an upload are sent; None: `run` only reads the model."""
    final = _final(output)
    artifact = _artifact(f"{final.name}-model", "model", _made_from(output))
    for path in sorted(p for p in (output / "model").rglob("*") if p.is_file()):
        part = path.relative_to(output / "model").as_posix()
        place = final / "model" / part
        digest = _md5(path) if upload else hashlib.md5(f"{place.absolute()} {artifact.metadata}".encode()).digest()
        source = (place if send == "later" else path) if upload and send else None
        _add(artifact, part, path, place, digest, upload=source)
    private.log_artifact(run, artifact, use=send is None)


def _files(
    run: Any, name: str, kind: str, files: Mapping[str, Path], metadata: Mapping[str, str], use: bool = False
) -> None:
    """Log `files` by reference as an artifact; with `use`, as an input of `run`."""
    artifact = _artifact(name, kind, metadata)
    for part, path in files.items():
        _add(artifact, part, path, _final_place(path), _md5(path))
    private.log_artifact(run, artifact, use=use)


def _artifact(name: str, kind: str, metadata: Mapping[str, str]) -> Any:
    import wandb

    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name) or "folder"
    return wandb.Artifact(cut(plain, LONGEST), type=kind, metadata=dict(metadata))


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
    """Return the fingerprint of `folder` as {"hash": ...}; {} if it has none.

    The fingerprint is in manifest.json or, while the folder is unfinished, in begun.json.
    """
    for name in ("manifest.json", "begun.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))["hash"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return {"hash": str(found)}
    return {}


def _present(folder: Path, parts: tuple[str, ...]) -> dict[str, Path]:
    return {part: folder / part for part in parts if (folder / part).is_file()}


def _final(output: Path) -> Path:
    return output.with_name(output.name.removesuffix(PARTIAL))


def _final_place(path: Path) -> Path:
    """Return where a file of an unfinished folder will be when the folder is finished."""
    return Path(*(part.removesuffix(PARTIAL) for part in path.parts))


def _md5(path: Path) -> bytes:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").digest()
