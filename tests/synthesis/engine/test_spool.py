"""Spools of outcomes on file systems where a file that is deleted while it is open goes on existing (NFS, FUSE)."""

from __future__ import annotations

from pathlib import Path

from gra.synthesis.engine.spool import Spool, clear


def test_a_folder_of_spools_is_deleted_with_no_file_of_it_open(tmp_path: Path) -> None:
    mine, others = (Spool(tmp_path / name / "kept") for name in ("spool", "elsewhere"))
    clear(tmp_path / "spool")
    opened = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [name for name in opened if name.startswith(str(tmp_path / "spool"))]
    assert not (tmp_path / "spool").exists()
    assert others.path.exists()
    clear(tmp_path / "spool")  # it is gone: no fault
    others.remove()
    assert len(mine) == 0
