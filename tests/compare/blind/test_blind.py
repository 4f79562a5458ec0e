"""`gra blind`: arms cannot be told from the sheet, labels are never lost, rates come with intervals."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.blind.command import LABELS, draw_sheet, main, rates, read_sheet
from gra.errors import StoreError

ROWS = [{"id": f"s{i}", "instruction": f"ask {i}", "response": f"say {i}"} for i in range(30)]


def folder(path: Path, rows: list[dict[str, str]]) -> Path:
    (path / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path / "data" / "train.parquet")
    return path


def test_a_sheet_is_drawn_labelled_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = [{"id": row["id"], "instruction": f"other {row['instruction']}", "response": "x"} for row in ROWS]
    one, two = folder(tmp_path / "one", ROWS), folder(tmp_path / "two", others)
    words = ["draw", f"committee={one}", f"single={two}", "--count", "20", "--output", str(tmp_path / "reading")]
    assert main(words) == 0
    sheet = tmp_path / "reading" / "sheet.jsonl"
    text = sheet.read_text()
    assert "committee" not in text
    assert "single" not in text
    with pytest.raises(StoreError, match="perhaps with labels"):
        main(words)
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 40
    for line in lines:
        mine = not line["instruction"].startswith("other")
        line |= {"task": True, "answered": mine, "right": mine or None, "echo": False}
    sheet.write_text("".join(json.dumps(line) + "\n" for line in lines))
    capsys.readouterr()
    assert main(["rates", str(tmp_path / "reading")]) == 0
    shown = capsys.readouterr().out
    assert "| committee | 20 | 100 [84, 100] |" in shown
    assert "| single | 20 | 0 [0, 16] |" in shown
    assert "(20?)" in shown
    assert (tmp_path / "reading" / "rates.md").read_text() == shown


def test_fewer_lines_than_samples_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = [f"a={folder(tmp_path / 'a', ROWS)}", f"b={folder(tmp_path / 'b', ROWS[:5])}"]
    assert main(["draw", *arms, "--count", "30", "--output", str(tmp_path / "reading")]) == 0
    shown = capsys.readouterr().out
    assert "sheet.jsonl: 30 samples of 2 arms" in shown
    assert "35 were drawn; samples with equal texts share one line" in shown
    assert main(["draw", arms[0], "--output", str(tmp_path / "alone")]) == 0
    assert "were drawn" not in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ['"yes"', "1", "0", "2", '"true"', "[]"])
def test_a_label_that_is_none_is_named_with_its_line(wrong: str, tmp_path: Path) -> None:
    line = json.dumps({"place": "0001", **dict.fromkeys(LABELS)}).replace('"task": null', f'"task": {wrong}')
    (tmp_path / "sheet.jsonl").write_text(json.dumps({"place": "0000", **dict.fromkeys(LABELS)}) + "\n" + line + "\n")
    with pytest.raises(StoreError, match=r"line 2.*task"):
        read_sheet(tmp_path / "sheet.jsonl")


@given(st.integers(0, 40), st.integers(0, 5), st.integers(0, 10))
def test_each_arm_gets_its_count_whatever_they_share(count: int, seed: int, shared: int) -> None:
    arms = {"a": ROWS, "b": ROWS[:shared]}
    sheet, key = draw_sheet(arms, count, seed)
    owners = [owner["arm"] for place in key.values() for owner in place]
    assert (owners.count("a"), owners.count("b")) == (min(count, 30), min(count, shared))
    assert len({(line["instruction"], line["response"]) for line in sheet}) == len(sheet) == len(key)
    assert draw_sheet(arms, count, seed) == (sheet, key)


@given(st.lists(st.tuples(*[st.sampled_from([True, False, None])] * 4), min_size=1, max_size=30))
def test_rates_are_of_what_could_be_told(labels: list[tuple[bool | None, ...]]) -> None:
    sheet = [{"place": str(i), **dict(zip(LABELS, found, strict=True))} for i, found in enumerate(labels)]
    found = rates(sheet, {line["place"]: [{"arm": "a", "sample": line["place"]}] for line in sheet})["a"]
    for at, label in enumerate(LABELS):
        mine = [verdicts[at] for verdicts in labels]
        assert (found[label]["yes"], found[label]["no"], found[label]["null"]) == tuple(
            map(mine.count, (True, False, None))
        )
        if found[label]["rate"] is not None:
            assert 0 <= found[label]["low"] <= found[label]["rate"] <= found[label]["high"] <= 1
    assert found["good"]["yes"] == labels.count((True, True, True, False))
