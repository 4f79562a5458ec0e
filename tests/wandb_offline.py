"""Reads an offline W&B run back: a LevelDB log (blocks of 32 KiB) of protobuf records after a header of 7 bytes.

Format: https://github.com/google/leveldb/blob/main/doc/log_format.md; `wandb sync` reads the same file.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER, PREAMBLE = 32768, 7, b":W&B"
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What a run has recorded: `history` a row a step, `used` and `logged` the artifacts by name."""

    id: str = ""
    project: str = ""
    group: str = ""
    name: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    logged: dict[str, Any] = field(default_factory=dict)


def read(folder: Path) -> OfflineRun:
    """The one offline run below `folder` (a step's output folder)."""
    files = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 1, files
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun()
    for data in _records(files[0].read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.project, run.group = record.run.run_id, record.run.project, record.run.run_group
            run.name, run.job_type = record.run.display_name, record.run.job_type
            run.tags = list(record.run.tags)
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            run.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            run.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "artifact":
            place = run.used if record.artifact.use_after_commit else run.logged
            place[record.artifact.name] = record.artifact
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def files(artifact: Any) -> dict[str, str]:
    """The digests of an artifact's files; equal ones are one version at W&B."""
    return {entry.path: entry.digest for entry in artifact.manifest.contents}


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def _records(data: bytes) -> list[bytes]:
    assert data.startswith(PREAMBLE)
    found, parts, place = [], [], HEADER
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:  # the end of a block is filled up with zeros
            place += left
            continue
        _checksum, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        if kind == 0:
            break
        parts.append(data[place + HEADER : place + HEADER + length])
        place += HEADER + length
        if kind in (FULL, LAST):
            found.append(b"".join(parts))
            parts = []
    return found
