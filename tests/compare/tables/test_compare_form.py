"""Knowledge or answer format: tolerant scores and extraction beside strict ones; Holm's marks, clusters, benchmarks left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from altered_scores import edit, skip

from gra.compare.experiment import compare
from gra.compare.tables import csv_export, table
from gra.compare.tables.rows import Comparison, build

TASKS = {"world_sums": 120, "world_words": 200}


def two_arms(make_arm: Any, skill: float = 0.05, **options: Any) -> list[Any]:
    return [
        make_arm("gra", label="GRA", skill=skill, seed=1, steps=("scores",), tasks=TASKS, **options),
        make_arm("one", label="One", skill=0.0, seed=2, steps=("scores",), tasks=TASKS, **options),
    ]


def built(arms: list[Any], reference: str = "gra", items_only: bool = False) -> Comparison:
    return build(arms, title="Test", reference=reference, resamples=400, level=0.95, seed=0, items_only=items_only)


def test_a_strict_difference_is_that_of_knowledge_and_that_of_form(make_arm: Any, tmp_path: Path) -> None:
    arms = two_arms(make_arm)
    comparison = built(arms)
    reference, row = comparison.rows
    parts = {kind: row.mean_difference(kind) for kind in table.FORM}
    assert all(part is not None for part in parts.values())
    strict, tolerant, form, extraction = (part.value for part in parts.values() if part is not None)
    assert strict == pytest.approx(tolerant + form)
    assert tolerant == pytest.approx(reference.tolerant - row.tolerant)  # type: ignore[operator]
    assert extraction == pytest.approx(reference.extraction - row.extraction)  # type: ignore[operator]
    assert reference.interval is not None
    assert reference.mean is not None
    assert reference.mean == pytest.approx(reference.interval.value)
    assert reference.interval.low < reference.mean < reference.interval.high
    assert table.form_cells(reference, comparison)[-4:] == ["reference"] * 4

    text = compare(arms, title="t", reference="gra", output=tmp_path, options={"resamples": 400})
    page = (tmp_path / "report.html").read_text()
    for shown in (text, (tmp_path / "table.md").read_text(), page):
        assert re.search(r"GRA\s+minus\s+arm", shown)
        assert all(words in shown for words in table.form_cells(row, built(arms))[1:4])
    assert page.count("<th>Benchmark</th>") == 2  # every arm by benchmark
    (_, line) = csv_export.read_csv((tmp_path / "table.csv").read_text())
    assert (line["mean.tolerant"], line["mean.extraction"]) == (row.tolerant, row.extraction)
    assert (line["mean.form.difference"], line["mean.tolerant.low"]) == (form, parts["tolerant"].low)  # type: ignore[union-attr]
    cell = row.cells["world_sums"]
    assert (line["task.world_sums.tolerant"], line["task.world_sums.extraction"]) == (cell.tolerant, cell.extraction)
    assert (line["task.world_sums.own_low"], line["task.world_sums.own_high"]) == (
        cell.interval.low,
        cell.interval.high,
    )
    assert line["task.world_sums.tolerant.p_holm"] == row.adjusted["tolerant"]["world_sums"]


def test_scores_that_differ_after_holm_are_marked(make_arm: Any) -> None:
    comparison = built(two_arms(make_arm, skill=0.4), items_only=True)
    reference, row = comparison.rows
    assert all(cell.endswith("*") for cell in table.score_cells(row, comparison.tasks, comparison))
    assert not any(cell.endswith("*") for cell in table.score_cells(reference, comparison.tasks, comparison))
    assert any("Holm" in note and "5 %" in note for note in table.notes(comparison))
    alike = [make_arm(name, seed=2, steps=("scores",), tasks=TASKS) for name in ("first", "second")]
    assert not any("Holm" in note for note in table.notes(built(alike, "first", items_only=True)))


def test_clusters_reach_the_bootstrap_and_the_notes(make_arm: Any) -> None:
    comparison = built(two_arms(make_arm, clusters=30))
    assert comparison.rows[1].difference is not None
    assert comparison.rows[1].difference.clustered == dict.fromkeys(TASKS, 30)
    assert any("world_sums (30)" in note for note in table.notes(comparison))


def test_a_benchmark_left_out_is_a_dash_and_so_are_the_means(make_arm: Any, tmp_path: Path) -> None:
    arms = two_arms(make_arm)
    for arm in arms:
        skip(arm.folders["scores"], "world_sums")
    comparison = built(arms)
    row = comparison.rows[1]
    assert table.score_cells(row, comparison.tasks, comparison)[0] == "-"
    assert table.form_cells(row, comparison)[1:] == ["-"] * 7
    assert (table.mean_cell(row), table.difference_cell(row)) == ("-", "-")
    assert row.difference is not None
    assert list(row.difference.tasks) == ["world_words"]
    compare(arms, title="t", reference="gra", output=tmp_path, options={"resamples": 100})
    (_, line) = csv_export.read_csv((tmp_path / "table.csv").read_text())
    assert (line["mean"], line["mean.difference"], line["task.world_sums"], line["task.world_sums.n"]) == (None,) * 4
    assert line["task.world_words.difference"] is not None


def test_choices_by_likelihood_have_no_tolerant_score(make_arm: Any) -> None:
    arms = two_arms(make_arm)
    for arm in arms:
        edit(arm.folders["scores"], tolerant=None, extraction=None)
    comparison = built(arms)
    row = comparison.rows[1]
    assert set(row.differences) == {"strict"}
    assert table.form_cells(row, comparison)[2:] == ["-", "-", table.difference_cell(row), "-", "-", "-"]
    assert not any("tolerant" in note for note in table.notes(comparison))


def test_without_scores_of_the_reference_no_column_of_dashes_is_shown(make_arm: Any) -> None:
    arms = [
        make_arm("gra", label="GRA", steps=("data",)),
        make_arm("one", label="One", skill=0.0, seed=2, steps=("scores",), tasks=TASKS),
    ]
    comparison = built(arms)
    for text in (table.terminal(comparison), table.markdown(comparison)):
        words = " ".join(text.split())
        assert not re.search(r"GRA minus|[Dd]etectable", words)
        assert "No differences are shown, because the reference (GRA) has no scores." in words
        assert "One" in words
        assert "Tolerant" in words


def test_columns_that_no_arm_fills_are_left_out(make_arm: Any) -> None:
    arms = two_arms(make_arm)
    for arm in arms:
        edit(arm.folders["scores"], tolerant=None, extraction=None)
    for text in (table.terminal(built(arms)), table.markdown(built(arms))):
        assert "Tolerant" not in text
        assert "GRA minus" in " ".join(text.split())
