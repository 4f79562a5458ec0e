"""Replies kept as each task ends, so that an evaluation that was killed asks only what was not answered yet.

`keep` puts itself between lm-eval and the model: lm-eval hands over the requests of all tasks at once, they are passed on
task by task, and the replies of a task are written to `<folder>/<task>.json` before the next one starts. A task always
makes the same batches, so that a resumed run gives the bytes of an unbroken one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gra.fileio import read_json, write_json

_EDGE = 1 << 20  # bytes hashed at either end of a large file
KINDS = ("generate_until", "loglikelihood")


def keep(lm: Any, folder: Path, model_key: str) -> None:
    """Make `lm` (lm-eval's LM) look for its replies in `folder` first. `model_key` tells one model from another.

    Of several processes that share the items each has its own files.
    """
    end = ".json" if lm.world_size == 1 else f".{lm.rank}of{lm.world_size}.json"
    for kind in KINDS:
        setattr(lm, kind, _kept(getattr(lm, kind), kind, folder, end, model_key))


def model_key(path: str, revision: str, dtype: str) -> str:
    """A name for the weights behind `path`: of a local folder every file's name, size and first and last megabyte."""
    digest = hashlib.sha256(json.dumps([path if not Path(path).is_dir() else "", revision, dtype]).encode())
    for file in sorted(p for p in Path(path).rglob("*") if p.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path).as_posix()}\0{size}\0".encode())
        with file.open("rb") as handle:
            digest.update(handle.read(_EDGE))
            handle.seek(max(_EDGE, size - _EDGE))
            digest.update(handle.read(_EDGE))
    return digest.hexdigest()


def _kept(ask: Callable[..., list[Any]], kind: str, folder: Path, end: str, model_key: str) -> Callable[..., list[Any]]:
    def answer(requests: Sequence[Any], **options: Any) -> list[Any]:
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(request.task_name, []).append(place)
        replies: list[Any] = [None] * len(requests)
        for task, mine in places.items():
            path = folder / f"{task}{end}"
            key = _key(kind, model_key, [requests[place].args for place in mine])
            known = _read(path, key)
            if known is None or len(known) != len(mine):
                known = ask([requests[place] for place in mine], **options)
                write_json(path, {"key": key, "kind": kind, "replies": known})
            for place, reply in zip(mine, known, strict=True):
                replies[place] = tuple(reply) if isinstance(reply, list) else reply
        return replies

    return answer


def _key(kind: str, model_key: str, asked: list[Any]) -> str:
    return hashlib.sha256(json.dumps([kind, model_key, asked], sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _read(path: Path, key: str) -> list[Any] | None:
    """The replies in `path`, if they are to these very requests of this model."""
    if not path.is_file():
        return None
    stored = read_json(path)
    return stored["replies"] if stored["key"] == key else None
