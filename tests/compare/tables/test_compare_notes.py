"""What stands under the table, and headings that may be broken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.experiment import compare
from gra.compare.options import check
from gra.compare.report.page import breakable
from gra.compare.statistics.resampling import least_resamples
from gra.compare.tables import csv_export
from gra.errors import ConfigError

FEW = {"question_answering_long": 20, "mathematics": 20}


def test_unequal_numbers_of_samples_are_told_in_every_form(make_arm: Any, tmp_path: Any) -> None:
    arms = [
        make_arm("gra", label="GRA", tasks=FEW, kept=20, dropped=6),
        make_arm("one", label="One", tasks=FEW, kept=18, dropped=6),
    ]
    text = compare(arms, title="t", reference="gra", output=tmp_path / "out", options={"resamples": 100, "width": 200})
    forms = [text, *((tmp_path / "out" / name).read_text() for name in ("table.md", "report.html"))]
    for form in forms:
        assert "different numbers of training samples (GRA: 20; One: 18)" in form
        assert "Proposals that were started but not needed are left out" in form
    same = [
        arms[0],
        make_arm("two", label="Two", tasks=FEW, kept=20, dropped=2),
        make_arm("none", steps=("scores",), tasks=FEW),
    ]
    text = compare(same, title="t", reference="gra", output=tmp_path / "same", options={"resamples": 100})
    assert "different numbers of" not in text


def test_long_benchmark_names_may_be_broken_in_the_report(make_arm: Any, tmp_path: Any) -> None:
    compare([make_arm("gra", tasks=FEW, kept=20, dropped=0)], title="t", reference="gra", output=tmp_path, options={})
    assert "<th>question_<wbr>answering_<wbr>long</th>" in (tmp_path / "report.html").read_text()
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"


def trained(make_arm: Any, counts: dict[str, int], skill: float = 0.4) -> list[Any]:
    """Arms of a name each, trained so many times."""
    return [
        make_arm(
            name,
            label=name.upper(),
            steps=("scores",),
            tasks=dict.fromkeys(FEW, 80),
            skill=skill * (name == "gra"),
            seed=10 * number + place,
            replicate=number,
        )
        for place, (name, count) in enumerate(counts.items())
        for number in range(count)
    ]


def shown(arms: list[Any], folder: Any, **options: Any) -> tuple[str, str, dict[str, Any]]:
    """The table's text, with its lines joined, the report, and the CSV's line of the last arm."""
    text = compare(arms, title="t", reference="gra", output=folder, options={"resamples": 200, **options})
    line = csv_export.read_csv((folder / "table.csv").read_text())[-1]
    return " ".join(text.split()), (folder / "report.html").read_text(), line


def test_arms_trained_once_get_intervals_over_items_and_no_star(make_arm: Any, tmp_path: Any) -> None:
    arms = trained(make_arm, {"gra": 1, "one": 1})
    text, page, line = shown(arms, tmp_path)
    for form in (text, page):
        assert "intervals over items, for these two trained models" in form
        assert "They do not cover training noise: what another training would give." in form
        assert "Scores are starred only where both arms were trained at least twice" in form
        assert "(--items-only stars differences over items)" in form
    assert "p 0." not in page
    assert re.search(
        r"each mean varied by 1 point .* an interval of ±\d+\.\d points would widen to ±\d+\.\d; by 2", text
    )
    assert "*" not in text
    assert (line["interval_over"], line["stars"]) == ("items", False)
    assert line["task.mathematics.p_holm"] < 0.05  # over items the difference is beyond doubt
    text, page, line = shown(arms, tmp_path / "asked", items_only=True)
    assert "for these trained models. " in text
    assert "* marks a score" in text
    assert "p 0." in page
    assert (line["interval_over"], line["stars"]) == ("items", True)


def test_arms_trained_several_times_get_intervals_over_trainings_and_stars(make_arm: Any, tmp_path: Any) -> None:
    arms = trained(make_arm, {"gra": 5, "one": 5})
    text, page, line = shown(arms, tmp_path)
    for form in (text, page):
        assert "intervals over items and training runs" in form
        assert "An arm's own interval is over items and its training runs." in form.replace("&#39;", "'")
    assert "resamples" not in text
    assert "* marks a score" in text
    assert "± is the standard deviation over training runs" in text
    assert (line["interval_over"], line["stars"], line["mean.own_over"]) == (
        "items and trainings",
        True,
        "items and trainings",
    )
    assert "p 0." in page
    text, _, line = shown(arms, tmp_path / "items", items_only=True)
    assert "over items, for these trained models" in text
    assert (line["interval_over"], line["resamples"]) == ("items", 200)


def test_one_training_beside_several_is_told_and_claims_nothing(make_arm: Any, tmp_path: Any) -> None:
    arms = trained(make_arm, {"gra": 3, "two": 2, "one": 1})
    text, page, line = shown(arms, tmp_path)
    assert (
        "ONE against the reference: one of the two was trained once. Its training noise is assumed to equal the other's"
        in text
    )
    assert "over its training runs where there are at least three" in text
    assert "over items and training runs" in page
    assert (line["interval_over"], line["stars"], line["mean.own_over"]) == ("items and trainings", False, "items")
    text, _, line = shown([arm for arm in arms if arm.name != "gra" or arm.replicate == 0], tmp_path / "few")
    assert "Scores are starred only where both arms were trained at least twice" in text
    assert line["interval_over"] == "items"


def test_resamples_too_few_for_holm_are_refused(make_arm: Any, tmp_path: Any) -> None:
    arms = [
        make_arm(name, steps=("scores",), tasks={f"t{k}": 20 for k in range(10)}, seed=len(name))
        for name in ("gra", "other")
    ]
    with pytest.raises(ConfigError) as caught:
        compare(arms, title="t", reference="gra", output=tmp_path, options={"resamples": 398})
    assert [problem.key for problem in caught.value.problems] == ["compare.resamples"]
    assert "at least 399" in str(caught.value)
    compare(arms, title="t", reference="gra", output=tmp_path, options={"resamples": 399})
    assert check({"resamples": 398}, benchmarks=10) != []
    assert check({"resamples": 399}, benchmarks=10) == []


@given(st.integers(1, 60), st.sampled_from([0.9, 0.95, 0.99, 0.999]))
def test_the_least_resamples_are_just_enough(family: int, level: float) -> None:
    least = least_resamples(family, level)
    assert family * 2 / (least + 1) <= (1 - level) * (1 + 1e-9)
    assert family * 2 / least > 1 - level
