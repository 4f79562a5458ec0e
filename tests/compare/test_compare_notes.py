"""What stands under the table, and headings that may be broken."""

from __future__ import annotations

from typing import Any

from gra.compare.experiment import compare
from gra.compare.report import breakable

FEW = {"question_answering_long": 20, "mathematics": 20}


def test_unequal_numbers_of_samples_are_told_in_every_form(make_arm: Any, tmp_path: Any) -> None:
    arms = [
        make_arm("gra", label="GRA", tasks=FEW, kept=20, dropped=6),
        make_arm("one", label="One", tasks=FEW, kept=18, dropped=6),
    ]
    text = compare(arms, title="t", reference="gra", output=tmp_path / "out", options={"resamples": 100, "width": 200})
    forms = [text, *((tmp_path / "out" / name).read_text() for name in ("table.md", "report.html"))]
    for form in forms:
        assert "differ in their number of training samples (GRA: 20; One: 18)" in form
        assert "proposals begun but in the end not needed are left out" in form
    same = [arms[0], make_arm("two", label="Two", tasks=FEW, kept=20, dropped=2), make_arm("none", steps=("scores",), tasks=FEW)]
    text = compare(same, title="t", reference="gra", output=tmp_path / "same", options={"resamples": 100})
    assert "differ in their number" not in text


def test_long_benchmark_names_may_be_broken_in_the_report(make_arm: Any, tmp_path: Any) -> None:
    compare([make_arm("gra", tasks=FEW, kept=20, dropped=0)], title="t", reference="gra", output=tmp_path, options={})
    assert "<th>question_<wbr>answering_<wbr>long</th>" in (tmp_path / "report.html").read_text()
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"
