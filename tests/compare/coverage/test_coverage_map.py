"""The map: which samples are drawn, where they lie, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.coverage import picture, words
from gra.compare.coverage.measure import LEAST, SEEDS, Coverage, drawn, measure
from gra.compare.coverage.projection import project
from gra.embedding.embed import hashed

SAMPLES = st.lists(st.tuples(st.text("abc", max_size=3), st.text("ab \n", max_size=5)), max_size=30)
TOPICS = (
    "add the numbers",
    "translate the word",
    "sort the list of",
    "name a river of",
    "play the part of",
    "explain why",
)


def texts(count: int, topics: int, start: int = 0) -> list[tuple[str, str]]:
    rng = np.random.default_rng(start)
    return [(f"s{n}", f"{TOPICS[rng.integers(topics)]} {start + n} {rng.integers(999)}") for n in range(count)]


def found(sets: dict[str, Any], **more: Any) -> Coverage:
    result = measure(sets, hashed, **more)
    assert isinstance(result, Coverage), result
    return result


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(0, 12), st.integers(0, 3))
def test_distinct_instructions_are_drawn_whatever_their_order(
    samples: list[tuple[str, str]], most: int, seed: int
) -> None:
    shown = drawn(samples, most, seed)
    plain = [" ".join(text.casefold().split()) for _, text in shown]
    every = {" ".join(text.casefold().split()) for _, text in samples} - {""}
    assert len(set(plain)) == len(plain) == min(most, len(every))
    assert set(shown) <= set(samples)
    assert [" ".join(text.casefold().split()) for _, text in drawn(samples[::-1], most, seed)] == plain


def test_another_seed_is_another_draw() -> None:
    assert drawn(texts(100, 3), 10, 0) != drawn(texts(100, 3), 10, 1)


def test_a_set_of_few_topics_covers_less_than_one_of_many_of_any_size() -> None:
    narrow, broad = texts(300, 2), texts(120, 6, 5000)
    told = found({"narrow": narrow, "broad <b>": broad})
    small, large = (one.share for one in told.sets)
    assert small is not None
    assert large is not None
    assert large.low > small.high
    assert told.size == 120
    assert [len(one.points) for one in told.sets] == [300, 120]
    assert all(0 <= at <= 1 for one in told.sets for _, *place in one.points for at in place)
    assert told == found({"narrow": narrow[::-1], "broad <b>": broad})
    assert "for 120 samples of each set" in words.method(told)
    lines = words.csv_text(told).splitlines()
    assert (lines[0], len(lines)) == ("set,id,x,y", 421)
    assert words.data(told)["sets"]["narrow"]["covered"] == small.value


def test_seeds_are_drawn_and_counted_if_there_are_enough_of_them() -> None:
    few = found({"a": texts(200, 6)}, seeds=texts(LEAST, 3, 9000))
    assert [(one.name, one.share) for one in few.sets][1] == (SEEDS, None)
    many = found({"a": texts(120, 6)}, seeds=texts(150, 3, 9000))
    assert all(one.share is not None for one in many.sets)
    assert [one.name for one in found({"a": texts(200, 6)}, seeds=texts(200, 6)[:50]).sets] == ["a"], "an arm of seeds"


def test_too_few_samples_are_told_and_cost_no_other_set_its_map() -> None:
    said = measure({"tiny": texts(LEAST - 1, 2)}, _never)
    assert said == f"No map: it takes at least {LEAST} distinct instructions of a set; tiny has {LEAST - 1}."
    assert measure({}, _never) == f"No map: it takes at least {LEAST} distinct instructions of a set; there is none."
    told = found({"a": texts(60, 6), "tiny": [*texts(5, 2), *texts(5, 2)]})
    assert [one.name for one in told.sets] == ["a"]
    assert told.size == 0
    assert "Too few distinct instructions to draw: tiny (5)" in words.method(told)


def _never(_: Sequence[str]) -> Any:
    raise AssertionError("nothing is embedded for a map that is not drawn")


def test_pictures_are_well_formed_and_show_every_point() -> None:
    told = found({"<script>&\"'": texts(40, 3), "b": texts(40, 3, 900)})
    panels = picture.panels(told)
    assert [name for name, _ in panels] == ["<script>&\"'", "b"]
    page = ET.fromstring(f"<div>{''.join(svg for _, svg in panels)}</div>")
    paths = [path.attrib["d"].count("M") for path in page.iter("path")]
    assert paths[0] == pytest.approx(80, abs=3)  # points on one place are one dot
    assert paths[1] == pytest.approx(40, abs=2)
    assert len(list(page.iter("use"))) == 1
    alone = ET.fromstring(picture.standalone(told, "a & b <i>"))
    assert "a & b <i>" in [text.text for text in alone.iter("{http://www.w3.org/2000/svg}text")]


def test_points_are_the_same_on_any_number_of_cores() -> None:
    code = (
        "import numpy as np, hashlib; from gra.compare.coverage.projection import project\n"
        "rows = np.random.default_rng(0).normal(size=(31, 60)).astype('float32')\n"
        "print(hashlib.sha256(project(rows, 0).tobytes()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(told) == 1


def test_near_rows_are_near_on_the_map_and_too_few_are_refused() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(place, 0.05, (40, 20)) for place in (-1, 1)]).astype(np.float32)
    at = project(rows, 0)
    inside = np.linalg.norm(at[:40] - at[:40].mean(axis=0), axis=1).mean()
    assert np.linalg.norm(at[:40].mean(axis=0) - at[40:].mean(axis=0)) > 2 * inside
    with pytest.raises(ValueError, match="3 points"):
        project(rows[:3], 0)
