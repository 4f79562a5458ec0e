"""Replies as chat models word them (wordings/README.md), read by the rules of today."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gra.eval.sandbox import SandboxError, isolation

HERE = Path(__file__).parents[1] / "wordings"
sys.path.append(str(HERE))
from measure import kind_of, lines, misread  # noqa: E402

FOLDERS = sorted(path for path in HERE.iterdir() if any(path.glob("*.jsonl")))
MISREAD = {"held": 0.05}  # of wordings that nobody looked at when the rules were written; of all others none


def sandboxed() -> bool:
    try:
        isolation()
    except SandboxError:
        return False
    return True


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_wordings_are_read_as_a_careful_reader_reads_them(folder: Path) -> None:
    if not sandboxed() and any(kind_of(name, line) == "code" for name, line in lines(folder)):
        pytest.skip("no sandbox is possible here")
    every = list(lines(folder))
    faults = misread(folder)
    tolerant = {(name, line["id"]) for name, line, reading, _ in faults if reading == "tolerant"}
    told = [(name, line["id"], reading, found) for name, line, reading, found in faults]
    assert len(tolerant) <= MISREAD.get(folder.name, 0.0) * len(every), told
    if folder.name not in MISREAD:
        assert faults == [], told


def test_there_are_hundreds_of_wordings_of_every_kind_of_answer() -> None:
    every = [(name, line) for folder in FOLDERS for name, line in lines(folder)]
    assert len(every) >= 300
    assert {kind_of(name, line) for name, line in every} == {"letters", "numbers", "bbh", "math", "code"}
    assert len({(folder.name, name, line["id"]) for folder in FOLDERS for name, line in lines(folder)}) == len(every)
