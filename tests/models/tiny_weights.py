"""Wheels with weight files in them, in a folder that pip takes for the package index; and a pool whose YAML names them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import yaml


def wheel(folder: Path, package: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """Write a wheel that pip accepts."""
    stem = package.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    info = f"{stem}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Dist: no-such-thing\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def weights(data: bytes, *packages: str, **more: Any) -> dict[str, Any]:
    """`weights` of a model whose file is `data`, in parts of the `packages`."""
    parts = [{"package": name, "version": "1.0", "member": "data/part.bin"} for name in packages]
    known = {"file": "tiny.gguf", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "licence": "CC0"}
    return {**known, "packages": parts, **more}


def pool_yaml(folder: Path, models: dict[str, dict[str, Any]], name: str = "mine") -> Path:
    """Write `folder`/pool/NAME.yaml; returns `folder`, for --config-dir."""
    path = folder / "pool" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"name": key, "weights": value} for key, value in models.items()]
    path.write_text(yaml.safe_dump({"models": listed}), encoding="utf-8")
    return folder
