"""`gra blind` with the wrong files: each fault is told in words, with its place and a remedy; no label is lost or miscounted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.blind.command import LABELS, main, read_sheet
from gra.compare.blind.files import read_key, write_sheet
from gra.compare.blind.rates import draw_sheet
from gra.errors import StoreError

Spoil = Callable[[Path], object]
LABEL = dict.fromkeys(LABELS, True) | {"echo": False}


def reading(place: Path, word: str = "", arms: int = 2, label: dict[str, Any] | None = None) -> Path:
    """A folder as `draw` makes it, every line labelled."""

    def samples(n: int) -> list[dict[str, str]]:
        return [{"id": str(i), "instruction": f"ask {word}{n} {i}", "response": "say"} for i in range(4)]

    sheet, key = draw_sheet({f"arm {n}": samples(n) for n in range(arms)}, 4, 0)
    write_sheet(place, [line | (label or LABEL) for line in sheet], key)
    return place


def change(folder: Path, how: Callable[[list[dict[str, Any]]], list[Any]]) -> None:
    path = folder / "sheet.jsonl"
    lines = how([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def without(line: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != name}


SPOILT: dict[str, tuple[Spoil, str]] = {
    "no key": (lambda f: (f / "key.json").unlink(), r"key\.json: no such file\n    -> put the key\.json there"),
    "no sheet": (lambda f: (f / "sheet.jsonl").unlink(), r"sheet\.jsonl: no such file\n    -> make it: gra blind draw"),
    "broken key": (lambda f: (f / "key.json").write_text('{"0001": ['), r"key\.json: is not JSON"),
    "a list for a key": (lambda f: (f / "key.json").write_text("[]"), r"key\.json: is not the key of a sheet"),
    "a key without arms": (lambda f: (f / "key.json").write_text('{"0001": [{}]}'), "is not the key of a sheet"),
    "a key of numbers": (lambda f: (f / "key.json").write_text('{"0001": 3}'), "is not the key of a sheet"),
    "deep key": (lambda f: (f / "key.json").write_text("[" * 100_000), r"key\.json: is not JSON"),
    "a key with fewer places": (
        lambda f: (f / "key.json").write_text('{"0001": [{"arm": "a", "sample": "0"}]}'),
        r"has no place 0002, 0003, 0004, 0005, 0006, \.\.\. of the sheet",
    ),
    "another sheet's key": (
        lambda f: (reading(f / "other", "other ") / "key.json").replace(f / "key.json"),
        "do not match the key: it belongs to another sheet",
    ),
    "a changed text": (
        lambda f: change(f, lambda all_: [{**all_[0], "response": "better"}, *all_[1:]]),
        "at 0001 do not match",
    ),
    "a removed line": (lambda f: change(f, lambda all_: all_[2:]), r"lacks 2 of 8 places \(0001, 0002\)"),
    "a line twice": (lambda f: change(f, lambda all_: [*all_, all_[3]]), "line 9: place 0004 is already in line 4"),
    "labels missing": (
        lambda f: change(f, lambda all_: [without(without(all_[0], "task"), "echo"), *all_[1:]]),
        "line 1: no label task and no label echo: true, false or null is expected",
    ),
    "a misspelt label": (
        lambda f: change(f, lambda all_: [{**without(all_[0], "right"), "rigth": True}, *all_[1:]]),
        "line 1: no label right .it has 'rigth', which is not a label",
    ),
    "a label in words": (
        lambda f: change(f, lambda all_: [{**all_[0], "echo": "no"}, *all_[1:]]),
        'line 1: echo is "no"',
    ),
    "a line that is not an object": (lambda f: change(f, lambda all_: [*all_, 5]), "line 9: is not a JSON object"),
    "a line without place": (lambda f: change(f, lambda all_: [*all_, LABEL]), "line 9: `place` is missing"),
    "half a line": (lambda f: (f / "sheet.jsonl").write_text('{"place": "0001", "task": tr'), "line 1: is not JSON"),
    "a deep line": (lambda f: (f / "sheet.jsonl").write_text("[" * 100_000), "line 1: is not JSON"),
    "another encoding": (
        lambda f: (f / "sheet.jsonl").write_bytes("{}".encode("utf-16")),
        r"is not UTF-8 text \(byte 0\)",
    ),
    "no lines": (lambda f: ((f / "sheet.jsonl").write_text(""), (f / "key.json").write_text("{}")), "is empty"),
    "no labels": (
        lambda f: change(f, lambda all_: [line | dict.fromkeys(LABELS) for line in all_]),
        "no line has a label yet",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_fault_of_the_files_is_told_with_its_place_and_a_remedy(name: str, tmp_path: Path) -> None:
    spoil, words = SPOILT[name]
    folder = reading(tmp_path / "reading")
    spoil(folder)
    with pytest.raises(StoreError, match=words) as found:
        main(["rates", str(folder)])
    assert "\n    -> " in str(found.value)
    assert str(folder) in str(found.value)
    assert not (folder / "rates.md").exists()


def test_the_command_ends_without_a_traceback(tmp_path: Path) -> None:
    folder = reading(tmp_path / "reading")
    (folder / "key.json").unlink()
    for place in (folder, folder / "sheet.jsonl", tmp_path / "nowhere"):
        words = [sys.executable, "-m", "gra.cli", "blind", "rates", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert str(place) in done.stderr
        assert "\n    -> " in done.stderr


def test_all_faults_of_a_sheet_are_told_at_once(tmp_path: Path) -> None:
    folder = reading(tmp_path / "reading")
    change(
        folder, lambda found: [line | {"task": "yes"} if line["place"] in ("0002", "0005") else line for line in found]
    )
    with pytest.raises(StoreError, match="line 2: task is") as error:
        main(["rates", str(folder)])
    assert "line 5: task is" in str(error.value)


def test_lines_without_labels_are_told_and_counted_as_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = reading(tmp_path / "reading", arms=1)
    change(folder, lambda found: [found[0] | dict.fromkeys(LABELS), *found[1:]])
    assert main(["rates", str(folder)]) == 0
    found = capsys.readouterr()
    assert "1 of 4 lines have no label" in found.err
    assert "| arm 0 | 4 | 100 [44, 100] (1?) |" in found.out


def test_what_an_editor_changes_is_read_as_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = reading(tmp_path / "reading")
    main(["rates", str(folder)])
    plain = capsys.readouterr().out
    sheet = folder / "sheet.jsonl"
    lines = sheet.read_text().splitlines()
    sheet.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(reversed(lines)).encode())
    assert main(["rates", str(folder)]) == 0
    assert capsys.readouterr().out == plain


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=4))
def test_whatever_a_model_wrote_stays_in_its_line_and_steers_no_terminal(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("reading")
    samples = [{"id": str(i), "instruction": text, "response": "\u2028" + text} for i, text in enumerate(texts)]
    sheet, key = draw_sheet({"a": samples}, 9, 0)
    write_sheet(folder, sheet, key)
    text = (folder / "sheet.jsonl").read_bytes().decode()
    assert len(text.splitlines()) == len(sheet)
    assert not {"\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"} & set(text)
    assert read_sheet(folder / "sheet.jsonl") == sheet
    assert read_key(folder / "key.json", sheet) == key


def test_an_arms_name_stays_in_its_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [{"id": "0", "instruction": "ask", "response": "say"}]
    sheet, key = draw_sheet({"a|b\x1b[2J": samples}, 1, 0)
    write_sheet(tmp_path, [line | LABEL for line in sheet], key)
    assert main(["rates", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "| a\\|b" in shown


def test_a_key_of_before_without_marks_of_the_texts_still_serves(tmp_path: Path) -> None:
    folder = reading(tmp_path / "reading")
    path = folder / "key.json"
    found = json.loads(path.read_text())
    path.write_text(
        json.dumps({place: [without(owner, "text") for owner in owners] for place, owners in found.items()})
    )
    assert main(["rates", str(folder)]) == 0


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path.parent


def test_folders_that_cannot_be_drawn_from_are_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    blank = table(tmp_path / "blank" / "train.parquet", [{"instruction": None, "response": "x"}])
    other = table(tmp_path / "other" / "train.parquet", [{"text": "x"}])
    rows = [{"instruction": "ask", "response": "say"}, {"instruction": None, "response": "x"}]
    good = table(tmp_path / "good" / "train.parquet", rows)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "train.parquet").write_bytes(b"PAR1")
    taken = ["--output", str(good / "train.parquet" / "reading")]
    for words, told in (
        ([f"a={tmp_path / 'nowhere'}"], "no such folder"),
        ([f"a={empty}"], "holds no samples"),
        ([f"a={blank}"], "holds no samples"),
        ([f"a={other}"], "has no column instruction and no column response"),
        ([f"a={tmp_path / 'broken'}"], "cannot be read"),
        ([str(good)], "NAME=FOLDER is expected"),
        ([f"a={good}", f"a={good}"], "this name is given twice"),
        ([f"a={good}", *taken], "give a writable folder"),
    ):
        with pytest.raises(StoreError, match=told):
            main(["draw", *words, *([] if "--output" in words else ["--output", str(tmp_path / "reading")])])
    assert not (tmp_path / "reading").exists()
    assert main(["draw", f"a={good}", "--output", str(tmp_path / "reading")]) == 0
    assert len(read_sheet(tmp_path / "reading" / "sheet.jsonl")) == 1


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_a_count_that_draws_nothing_is_refused(count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as found:
        main(["draw", "a=b", "--output", str(tmp_path), f"--count={count}"])
    assert found.value.code == 2
    assert "at least 1" in capsys.readouterr().err


def test_fewer_samples_than_asked_for_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = table(tmp_path / "good" / "train.parquet", [{"instruction": "ask", "response": "say"}])
    assert main(["draw", f"a={good}", "--output", str(tmp_path / "reading")]) == 0
    assert "a: has 1 samples, fewer than --count 50" in capsys.readouterr().err
