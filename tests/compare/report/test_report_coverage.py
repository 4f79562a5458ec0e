"""The report's map: drawn on demand, of all arms and their seeds, escaped, within the page's size; else a sentence says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gra.compare.experiment import compare
from gra.compare.report.command import main, write_beside

HASH = {"config": {"synthesis": {"dedup": {"model": "hash"}, "tau": 8.0, "delta": 1.5}}}
SEEDS = [(f"s{n}", f"Name the river number {n} of the land {n % 7}.") for n in range(40)]


@pytest.fixture
def folder(make_arm: Any) -> Path:
    found: Path = make_arm("gra", steps=("data",), kept=60, dropped=8).folders["data"]
    (found / "manifest.json").write_text(json.dumps(HASH))
    return found


def page_of(words: list[str], path: Path, **more: Any) -> str:
    assert main([*words, "--output", str(path)], **more) == 0
    return path.read_text(encoding="utf-8")


def test_arms_and_seeds_are_on_one_map(folder: Path, make_arm: Any, tmp_path: Path) -> None:
    other = make_arm("other", steps=("data",), kept=110, dropped=0).folders["data"]
    words = [f"<b>gra</b>={folder}", f"other={other}"]
    page = page_of(words, tmp_path / "a.html", seeds=lambda _: SEEDS)
    assert page.count('class="map"') == 3
    assert "<b>gra</b>" not in page
    assert "&lt;b&gt;gra&lt;/b&gt;" in page
    assert "Embedder: hash." in page
    assert "Clusters covered, %" not in page, "60 samples are too few for a figure"
    assert len(page) < 5e6
    assert page_of(words, tmp_path / "b.html", seeds=lambda _: SEEDS) == page


def test_without_a_map_a_sentence_says_why(folder: Path, make_arm: Any, tmp_path: Path) -> None:
    assert "written without a map" in page_of([str(folder), "--no-map"], tmp_path / "a.html")
    tiny = make_arm("tiny", steps=("data",), kept=12, dropped=0).folders["data"]
    assert "No map: it takes at least 30 distinct instructions of a set; data-tiny-None has 12." in page_of(
        [str(tiny)], tmp_path / "b.html"
    )
    lost = json.loads(json.dumps(HASH).replace('"hash"', '"/no/such/model"'))
    (folder / "manifest.json").write_text(json.dumps(lost))
    page = page_of([str(folder)], tmp_path / "c.html")
    assert "No map: " in page
    assert 'class="map"' not in page
    scores = make_arm("scored", steps=("scores",)).folders["scores"]
    assert 'id="coverage"' not in page_of([str(scores)], tmp_path / "d.html"), "no data, no section"


def test_stages_draw_no_map_and_experiments_where_they_are_asked_to(
    folder: Path, make_arm: Any, tmp_path: Path
) -> None:
    path = write_beside(folder, "gra")
    assert path is not None
    assert 'class="map"' not in path.read_text()
    arms = [
        make_arm(name, steps=("data",), kept=120, dropped=4, manifest=HASH | {"simulated": True}) for name in ("a", "b")
    ]
    for wanted in (False, True):
        compare(arms, title="T", reference="a", output=tmp_path / str(wanted), options={"map": wanted})
        assert ('class="map"' in (tmp_path / str(wanted) / "report.html").read_text()) is wanted
    assert "Clusters covered, %" in (tmp_path / "True" / "report.html").read_text()
