"""Sheets of an earlier comparison do not stay beside a newer table; what is not ours stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gra.compare.experiment import compare
from gra.compare.written import RECORD, write_sheets

FORMS = ("csv", "md", "tex")


def test_a_newer_table_has_only_its_own_sheets_beside_it(make_arm: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arms = [make_arm(name, seed=place) for place, name in enumerate(("gra", "one"))]

    def run(**options: Any) -> str:
        return compare(arms, title="t", reference="gra", output=out, options={"resamples": 400, **options})

    assert "removed" not in run(contrasts=["one-gra"], power=2)
    (out / "power.md").write_text("the user's remarks\n")
    (out / "paper.tex").write_text("the user's paper\n")
    assert run(power=3).endswith(f"removed from {out}, as an earlier call wrote them: {listed('contrasts')}\n")
    assert run().endswith(f"removed from {out}, as an earlier call wrote them: {listed('power')}\n")
    assert {path.name for path in out.iterdir()} == {"report.html", "paper.tex", *(f"table.{form}" for form in FORMS)}


def listed(name: str) -> str:
    return ", ".join(f"{name}.{form}" for form in FORMS)


def test_only_files_as_they_were_written_are_removed(tmp_path: Path) -> None:
    assert write_sheets(tmp_path, {"a.md": "A\n", "b.md": "B\n", "c.md": "C\n"}) == []
    (tmp_path / "b.md").write_text("edited\n")
    (tmp_path / "d.md").write_text("D\n")
    assert write_sheets(tmp_path, {"c.md": "new\n"}) == ["a.md"]
    assert {path.name for path in tmp_path.iterdir()} == {"b.md", "c.md", "d.md", RECORD}
    assert write_sheets(tmp_path, {}) == ["c.md"]
    assert {path.name for path in tmp_path.iterdir()} == {"b.md", "d.md"}


def test_a_record_that_is_odd_removes_nothing(tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "a.md"
    assert write_sheets(tmp_path, {"a.md": "A\n"}) == []
    digest = json.loads((tmp_path / RECORD).read_text())["a.md"]
    folder.mkdir()
    for record in (json.dumps({"../a.md": digest, "b.md": None}), "[]", "{"):
        (folder / RECORD).write_text(record)
        assert write_sheets(folder, {}) == []
    assert outside.is_file()
